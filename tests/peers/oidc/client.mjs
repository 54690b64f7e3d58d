// A real OpenID client for tests: openid-client, certified by the OpenID Foundation. ISSUER, CLIENT_ID, REDIRECT_URI and SCOPE are
// needed; CLIENT_SECRET for a client that has one. RELAY (IP:PORT) is where every host is. NODE_EXTRA_CA_CERTS names the authority.
// Each line of its input is a command; each is answered by one line: {"done": …} or {"error": …}.
import { request } from 'node:https';
import { createInterface } from 'node:readline';
import * as openid from 'openid-client';

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, SCOPE, RELAY } = process.env;
const [host, port] = RELAY.split(':');

// The tests' host names are in no DNS.
const fetchAtRelay = (url, { method, headers, body } = {}) => new Promise((resolve, reject) => {
  const { hostname, pathname, search, host: authority } = new URL(url);
  const asked = request({ host, port, servername: hostname, path: pathname + search, method,
    headers: { ...Object.fromEntries(new Headers(headers)), host: authority } }, (answer) => {
    const chunks = [];
    answer.on('data', (chunk) => chunks.push(chunk));
    answer.on('error', reject);
    answer.on('end', () => {
      const fields = Object.entries(answer.headersDistinct).flatMap(([name, all]) => all.map((value) => [name, value]));
      const content = [204, 304].includes(answer.statusCode) ? null : Buffer.concat(chunks);
      resolve(new Response(content, { status: answer.statusCode, headers: fields }));
    });
  });
  asked.on('error', reject);
  asked.end(body === undefined || body === null ? undefined : body.toString());
});

const authentication = CLIENT_SECRET ? openid.ClientSecretBasic(CLIENT_SECRET) : openid.None();
const config = await openid.discovery(new URL(ISSUER), CLIENT_ID, undefined, authentication,
  { [openid.customFetch]: fetchAtRelay });
// Signatures of ID tokens, too, though TLS would do.
openid.enableNonRepudiationChecks(config);

// Without it there is no ID token, and no nonce comes back.
const isOpenid = SCOPE.split(' ').includes('openid');
let pkceCodeVerifier, expectedState, expectedNonce, tokens, device;
const got = (answer) => {
  tokens = { ...tokens, ...answer };
  return { ...answer, claims: answer.claims() };
};
const commands = {
  begin: async () => {
    [pkceCodeVerifier, expectedState, expectedNonce] = [openid.randomPKCECodeVerifier(), openid.randomState(), openid.randomNonce()];
    return openid.buildAuthorizationUrl(config, { redirect_uri: REDIRECT_URI, scope: SCOPE, state: expectedState,
      nonce: expectedNonce, code_challenge: await openid.calculatePKCECodeChallenge(pkceCodeVerifier), code_challenge_method: 'S256' });
  },
  finish: async (url) => got(await openid.authorizationCodeGrant(config, new URL(url),
    { pkceCodeVerifier, expectedState, ...(isOpenid && { expectedNonce, idTokenExpected: true }) })),
  userinfo: async () => openid.fetchUserInfo(config, tokens.access_token, openid.skipSubjectCheck),
  refresh: async (resource) => got(await openid.refreshTokenGrant(config, tokens.refresh_token, resource ? { resource } : {})),
  introspect: async () => openid.tokenIntrospection(config, tokens.access_token),
  revoke: async () => (await openid.tokenRevocation(config, tokens.refresh_token), true),
  device: async () => (device = await openid.initiateDeviceAuthorization(config, { scope: SCOPE })),
  poll: async () => got(await openid.pollDeviceAuthorizationGrant(config, device)),
};

console.log(JSON.stringify({ done: 'ready' }));
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument] = line.split(' ');
  try {
    console.log(JSON.stringify({ done: await commands[command](argument) }));
  } catch (error) {
    console.log(JSON.stringify({ error: error.error ?? error.message, code: error.code }));
  }
}
