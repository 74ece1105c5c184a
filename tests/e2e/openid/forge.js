// Signs what it reads, one JSON [how, header, claims] a line, as somebody would who has none of our keys: with keys that it makes up, or with a secret.
// How: "none"; "ed" or "rsa" (own keys; a header "jwk": true is replaced by the public one); or ["hs", secret in base64url].
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { createInterface } from 'node:readline';

const own = { ed: generateKeyPairSync('ed25519'), rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }) };
const encode = (json) => Buffer.from(typeof json === 'string' ? json : JSON.stringify(json)).toString('base64url');

for await (const line of createInterface({ input: process.stdin })) {
  const [how, header, claims] = JSON.parse(line);
  if (header.jwk === true) header.jwk = own[how].publicKey.export({ format: 'jwk' });
  const signed = `${encode(header)}.${encode(claims)}`;
  const signature =
    how === 'none' ? '' :
    how === 'ed' ? sign(null, signed, own.ed.privateKey).toString('base64url') :
    how === 'rsa' ? sign('sha256', signed, own.rsa.privateKey).toString('base64url') :
    createHmac('sha256', Buffer.from(how[1], 'base64url')).update(signed).digest('base64url');
  console.log(JSON.stringify(`${signed}.${signature}`));
}
