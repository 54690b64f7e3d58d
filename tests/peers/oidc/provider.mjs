// A real OpenID provider for tests: oidc-provider, certified by the OpenID Foundation, on loopback, with two users.
// PORT and KEYS (a file with its private keys, made if it is not there) are needed. ISSUER, RP (the relying party's origin),
// TLS_CERT and TLS_KEY (https), CLOCK_AHEAD_S (its clock differs), EXTRA_REDIRECTS may be set.
import { createServer } from 'node:http';
import { createServer as createTls } from 'node:https';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { randomUUID } from 'node:crypto';

// Its clock, and with it every time in its tokens. Before the provider is loaded, so that nothing keeps the right one.
const AHEAD_MS = Number(process.env.CLOCK_AHEAD_S || 0) * 1000;
if (AHEAD_MS) {
  const Real = Date;
  globalThis.Date = class extends Real {
    constructor(...args) { args.length ? super(...args) : super(Real.now() + AHEAD_MS); }
    static now() { return Real.now() + AHEAD_MS; }
  };
}
const { default: Provider, interactionPolicy } = await import('oidc-provider');

const { PORT, KEYS } = process.env;
const tls = process.env.TLS_CERT;
const ISSUER = process.env.ISSUER || `${tls ? 'https' : 'http'}://127.0.0.1:${PORT}`;
const RP = process.env.RP || 'http://127.0.0.1:1';
const WEAK = 'urn:test:pwd', STRONG = 'urn:test:mfa';

const USERS = {
  alice: { password: 'alicepw', otp: '123456', email: 'alice@example.test', verified: true, name: 'Alice A', groups: ['staff', 'app-users'] },
  bob: { password: 'bobpw', otp: '123456', email: 'bob@example.test', verified: false, name: 'Bob B', groups: ['staff'] },
};

// By WebCrypto: generateKeyPairSync and export of Node 20 hang now and then.
if (!existsSync(KEYS)) {
  const { subtle } = globalThis.crypto;
  const jwk = async (alg, algorithm) => {
    const { kty, crv, n, e, d, p, q, dp, dq, qi, x, y } = await subtle.exportKey('jwk', (await subtle.generateKey(algorithm, true, ['sign', 'verify'])).privateKey);
    return { kty, crv, n, e, d, p, q, dp, dq, qi, x, y, use: 'sig', kid: randomUUID(), alg };
  };
  const rsa = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
  const keys = [await jwk('RS256', rsa), await jwk('ES256', { name: 'ECDSA', namedCurve: 'P-256' }), await jwk('EdDSA', { name: 'Ed25519' })];
  writeFileSync(KEYS, JSON.stringify({ keys }));
}

// By the standard acr_values is voluntary; most providers of enterprises let it force a stronger sign-in, and so does this one.
const policy = interactionPolicy.base();
policy.get('login').checks.add(new interactionPolicy.Check('acr_values', 'a stronger login is required', (ctx) => {
  const wanted = ctx.oidc.params.acr_values?.split(' ');
  return wanted?.length && !wanted.includes(ctx.oidc.acr) && !ctx.oidc.result?.login
    ? interactionPolicy.Check.REQUEST_PROMPT : interactionPolicy.Check.NO_NEED_TO_PROMPT;
}));

const redirect_uris = [`${RP}/cb`, ...(process.env.EXTRA_REDIRECTS || '').split(',').filter(Boolean)];
const client = (client_id, token_endpoint_auth_method, more) => ({
  client_id, token_endpoint_auth_method, redirect_uris, grant_types: ['authorization_code'], response_types: ['code'],
  post_logout_redirect_uris: [`${RP}/signed-out`], require_auth_time: true, ...more,
});
const backchannel = { backchannel_logout_uri: `${RP}/backchannel-logout`, backchannel_logout_session_required: true };

const provider = new Provider(ISSUER, {
  jwks: JSON.parse(readFileSync(KEYS)),
  clients: [
    client('proxy', 'client_secret_basic', { client_secret: 'proxy-secret', ...backchannel }),
    client('by-post', 'client_secret_post', { client_secret: 'post-secret' }),
    client('public', 'none'),
    client('es256', 'client_secret_basic', { client_secret: 'es-secret', id_token_signed_response_alg: 'ES256' }),
    client('eddsa', 'client_secret_basic', { client_secret: 'ed-secret', id_token_signed_response_alg: 'EdDSA' }),
    client('hs256', 'client_secret_basic', { client_secret: 'a-secret-of-at-least-32-bytes-or-more', id_token_signed_response_alg: 'HS256' }),
  ],
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'],
  },
  // Calls to the relying party go to loopback, which the provider's own dispatcher refuses.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  cookies: { keys: ['test-only'] },
  acrValues: [WEAK, STRONG],
  scopes: ['openid', 'profile', 'email', 'groups', 'device'],
  claims: { openid: ['sub', 'acr', 'amr', 'auth_time', 'sid'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups'], device: ['device_managed', 'device_marks'] },
  // Claims of scopes come by userinfo only, as the standard has it, unless this is 'no'.
  conformIdTokenClaims: process.env.CONFORM !== 'no',
  pkce: { required: () => true },
  interactions: { policy, url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  features: {
    devInteractions: { enabled: false },
    backchannelLogout: { enabled: true },
    userinfo: { enabled: true },
    rpInitiatedLogout: { enabled: true, logoutSource: async (ctx, form) => { ctx.body = `<!doctype html>${form}`; } },
  },
  findAccount: (ctx, id) => (!USERS[id] || USERS[id].disabled ? undefined : { // It must be undefined, not false.
    accountId: id,
    claims: () => ({ sub: id, name: USERS[id].name, preferred_username: id, email: USERS[id].email, email_verified: USERS[id].verified, groups: USERS[id].groups, ...USERS[id].device }),
  }),
  // The administrator consented for everybody.
  loadExistingGrant: async ({ oidc }) => {
    const grantId = oidc.result?.consent?.grantId || oidc.session.grantIdFor(oidc.client.clientId);
    const grant = (grantId && await oidc.provider.Grant.find(grantId))
      || new oidc.provider.Grant({ clientId: oidc.client.clientId, accountId: oidc.session.accountId });
    grant.addOIDCScope('openid profile email groups device');
    await grant.save();
    return grant;
  },
  renderError: (ctx, out) => { ctx.type = 'json'; ctx.body = out; },
});

const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`);
const body = async (request) => { let text = ''; for await (const part of request) text += part; return text; };
provider.use(async (ctx, next) => {
  if (ctx.path === '/__test/user' && ctx.method === 'POST') { // Changes a user.
    const { login, set } = JSON.parse(await body(ctx.req));
    USERS[login] = { ...USERS[login], ...set };
    ctx.body = {};
    return undefined;
  }
  if (!ctx.path.startsWith('/interaction/')) return next();
  const details = await provider.interactionDetails(ctx.req, ctx.res);
  const finish = (result, merge) => {
    ctx.respond = false;
    return provider.interactionFinished(ctx.req, ctx.res, result, { mergeWithLastSubmission: merge });
  };
  if (details.prompt.name === 'consent') return finish({ consent: {} }, true); // Native clients are always asked.
  const strong = (details.params.acr_values || '').includes(STRONG);
  if (ctx.method === 'POST') {
    const form = new URLSearchParams(await body(ctx.req)), user = USERS[form.get('login')];
    if (form.has('abort')) return finish({ error: 'access_denied', error_description: 'aborted' }, false);
    const password = user && !user.disabled && user.password === form.get('password'), otp = user?.otp === form.get('otp');
    if (password && (otp || (!form.get('otp') && !strong))) {
      return finish({ login: { accountId: form.get('login'), acr: otp ? STRONG : WEAK, amr: otp ? ['pwd', 'otp', 'mfa'] : ['pwd'] } }, false);
    }
    ctx.status = 401;
  }
  ctx.type = 'html';
  ctx.body = `<!doctype html><title>Sign in</title><form method=post autocomplete=off>
<input name=login value="${escaped(details.params.login_hint || '')}"><input name=password type=password>
<input name=otp placeholder="${strong ? 'required' : 'optional'}"><button id=go>Sign in</button><button name=abort value=1>Cancel</button></form>`;
  return undefined;
});
for (const event of ['server_error', 'backchannel.error', 'grant.error', 'authorization.error', 'backchannel.success']) {
  provider.on(event, (ctx, ...what) => console.error(event, ...what.map((x) => x?.error_description || x?.message || x?.clientId || '')));
}

const answer = provider.callback();
const server = tls ? createTls({ cert: readFileSync(tls), key: readFileSync(process.env.TLS_KEY) }, answer) : createServer(answer);
server.listen(Number(PORT), '127.0.0.1', () => console.log(`ready ${ISSUER}`));
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
