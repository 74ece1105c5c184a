// An OpenID provider for test_oidc.py: panva's certified one, with accounts that the test decides on.
// Arguments: its port, then JSON {clients, audience}. It prints "ready" once it listens. GET /test/login?account=ann&groups=a,b says who logs in next.
import http from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import { Provider } from 'oidc-provider';

const [port, settings] = [Number(process.argv[2]), JSON.parse(process.argv[3])];
const issuer = `http://127.0.0.1:${port}`;
const groups = new Map();
let account = 'nobody';

const key = (kid, alg, ...how) => ({ ...generateKeyPairSync(...how).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' });

const provider = new Provider(issuer, {
  clients: settings.clients,
  jwks: { keys: [key('rsa', 'RS256', 'rsa', { modulusLength: 2048 }), key('ec', 'ES256', 'ec', { namedCurve: 'P-256' }), key('ed', 'EdDSA', 'ed25519')] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'ES256', 'EdDSA'] },
  pkce: { required: () => true },
  cookies: { keys: ['test'] },
  conformIdTokenClaims: false,
  claims: { openid: ['sub', 'groups'], email: ['email', 'email_verified'], profile: ['name'] },
  findAccount: (_, sub) => ({
    accountId: sub,
    claims: () => ({ sub, name: `Name of ${sub}`, email: `${sub}@example.com`, email_verified: true, groups: groups.get(sub) }),
  }),
  extraTokenClaims: (_, token) => ({ groups: groups.get(token.accountId) }),
  features: {
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.audience,
      useGrantedResource: () => true,
      getResourceServerInfo: (_, audience) => ({ audience, scope: 'api', accessTokenTTL: 600, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }),
    },
  },
  interactions: { url: (_, interaction) => `/test/interaction/${interaction.uid}` },
  // Everybody agrees to everything.
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope('openid email profile');
    grant.addResourceScope(settings.audience, 'api');
    await grant.save();
    return grant;
  },
});

const answer = provider.callback();
http.createServer((req, res) => {
  const url = new URL(req.url, issuer);
  if (url.pathname === '/test/login') {
    account = url.searchParams.get('account');
    groups.set(account, url.searchParams.get('groups').split(',').filter(Boolean));
    res.end('ok');
  } else if (url.pathname.startsWith('/test/interaction/')) {
    provider.interactionFinished(req, res, { login: { accountId: account } });
  } else {
    answer(req, res);
  }
}).listen(port, '127.0.0.1', () => console.log('ready'));
