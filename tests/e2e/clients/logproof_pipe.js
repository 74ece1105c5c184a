// Saves a LogProof export as its documentation does with Node: the answer piped into a file. usage: BASE KEY FILE PATH
const fs = require('node:fs');
const http = require('node:http');

const [base, key, name, path] = process.argv.slice(2);
const { hostname, port } = new URL(base);
const file = fs.createWriteStream(name);
http.get({ hostname, port, path, headers: { Authorization: `Bearer ${key}` } }, (answer) => {
  answer.pipe(file);
  file.on('finish', () => {
    file.close();
    console.log(JSON.stringify({ status: answer.statusCode, headers: answer.headers, complete: answer.complete }));
  });
});
