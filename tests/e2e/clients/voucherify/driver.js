// Drives Voucherify's SDKs for Node: {"sdk": "v2"|"v1", "client": {...}, "call": "asyncActions.list", "args": [...]} a line in, {"ok"} or {"error"} a line out.
'use strict';

const readline = require('node:readline');
const { VoucherifyServerSide } = require('@voucherify/sdk');
const voucherify = require('voucherify');

const MAKE = { v2: VoucherifyServerSide, v1: voucherify };
const clients = new Map();

async function answer({ sdk, client, call, args = [] }) {
  const key = JSON.stringify([sdk, client]);
  // The same one again, so that it remembers the limits it was told.
  if (!clients.has(key)) clients.set(key, MAKE[sdk](client));
  const path = call.split('.');
  const name = path.pop();
  const target = path.reduce((object, member) => object[member], clients.get(key));
  try {
    return { ok: (await target[name](...args)) ?? null };
  } catch (error) {
    const { code, key, message, details, request_id, resource_id, resource_type } = error;
    return { error: { code, key, message, details, request_id, resource_id, resource_type } };
  }
}

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answer(JSON.parse(line))));
  }
})();
