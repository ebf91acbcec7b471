'use strict';
// Reads {template, data} as JSON on stdin and prints how often a second handlebars.js renders and compiles it.
// Usage: node handlebars.cjs FOLDER_WITH_NODE_MODULES SECONDS

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const Handlebars = createRequire(process.argv[2] + '/package.json')('handlebars');
const seconds = Number(process.argv[3]);
const { template, data } = JSON.parse(readFileSync(0, 'utf-8'));

function rate(deed) {
    let count = 0;
    let spent = 0;
    for (const limit of [seconds / 10, seconds]) {
        count = 0;
        const started = process.hrtime.bigint();
        do {
            for (let i = 0; i < 10; i++) {
                deed();
            }
            count += 10;
            spent = Number(process.hrtime.bigint() - started) / 1e9;
        } while (spent < limit);
    }
    return count / spent;
}

const compiled = Handlebars.compile(template);
const compiles = rate(() => Handlebars.template(new Function('return ' + Handlebars.precompile(template))()));
process.stdout.write(JSON.stringify({ renders: rate(() => compiled(data)), compiles }));
