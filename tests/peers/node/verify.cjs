'use strict';
// Reads {message, keys} as JSON on stdin, verifies every DKIM signature of the message with mailauth, and prints the
// verdicts. The resolver knows the handed keys alone. Usage: node verify.cjs FOLDER_WITH_NODE_MODULES

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const load = createRequire(process.argv[2] + '/package.json');
const { dkimVerify } = load('mailauth/lib/dkim/verify.js');
const question = JSON.parse(readFileSync(0, 'utf-8'));

const resolver = async (name, type) => {
    const value = type === 'TXT' ? question.keys[name.toLowerCase()] : undefined;
    if (value === undefined) {
        throw Object.assign(new Error('no such name: ' + name), { code: 'ENOTFOUND' });
    }
    return [[value]];
};

(async () => {
    const verdict = await dkimVerify(Buffer.from(question.message, 'latin1'), { resolver });
    const signatures = verdict.results
        .filter((found) => found.status.result !== 'none')
        .map((found) => ({
            domain: found.signingDomain || '',
            selector: found.selector || '',
            algorithm: found.algo || '',
            result: found.status.result,
            comment: found.status.comment || '',
        }));
    process.stdout.write(JSON.stringify(signatures));
})();
