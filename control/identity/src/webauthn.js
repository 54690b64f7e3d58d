// Asks the browser for a key or passkey and puts the answer into the form of the page (WebAuthn).
"use strict";

for (const form of document.querySelectorAll("form[data-key]")) {
  const button = form.querySelector("button");
  const said = form.querySelector("[data-said]");
  const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const credentials = (ids) => ids.map((id) => ({ type: "public-key", id: bytes(id) }));
  const fill = (fields) => {
    for (const [name, value] of Object.entries(fields)) form.elements[name].value = text(value);
    HTMLFormElement.prototype.submit.call(form);
  };

  const show = async (asked) => {
    const shown = await navigator.credentials.get({
      publicKey: {
        challenge: bytes(asked.challenge),
        rpId: asked.rp_id,
        allowCredentials: credentials(asked.credentials),
        userVerification: "required",
        timeout: 120000,
      },
    });
    fill({
      credential: shown.rawId,
      client_data: shown.response.clientDataJSON,
      authenticator_data: shown.response.authenticatorData,
      signature: shown.response.signature,
    });
  };

  const make = async (asked) => {
    const made = await navigator.credentials.create({
      publicKey: {
        challenge: bytes(asked.challenge),
        rp: { id: asked.rp_id, name: asked.rp_id },
        user: { id: bytes(asked.user), name: asked.login, displayName: asked.display_name },
        pubKeyCredParams: [-7, -8, -257].map((alg) => ({ type: "public-key", alg })),
        excludeCredentials: credentials(asked.exclude),
        authenticatorSelection: { userVerification: "required", residentKey: "discouraged" },
        attestation: "none",
        timeout: 120000,
      },
    });
    fill({ client_data: made.response.clientDataJSON, attestation: made.response.attestationObject });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    said.textContent = "";
    try {
      await (form.dataset.key === "show" ? show : make)(JSON.parse(form.dataset.asked));
    } catch (error) {
      said.textContent =
        error.name === "InvalidStateError"
          ? "This key is set up already."
          : "That did not work, or was cancelled. Try again.";
      button.disabled = false;
    }
  });
  if (window.PublicKeyCredential) form.hidden = false;
}
