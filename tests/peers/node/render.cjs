'use strict';
// Reads {template, data, partials, escape, strict} as one line of JSON each on stdin and answers each with one line of
// JSON: {text} from handlebars.js, or {refused} with its message. {template} alone asks whether it compiles.
// Usage: node render.cjs FOLDER_WITH_NODE_MODULES

const { createRequire } = require('node:module');
const { createInterface } = require('node:readline');

const Handlebars = createRequire(process.argv[2] + '/package.json')('handlebars');

// Templates may say {{log ...}}, and stdout is for the answers alone.
for (const name of ['debug', 'info', 'log', 'warn', 'error']) {
    console[name] = () => {};
}

function render({ template, data, partials, escape, strict }) {
    try {
        if (data === undefined) {
            Handlebars.precompile(template);
            return { text: '' };
        }
        const own = Handlebars.create();
        own.registerPartial(partials);
        const text = own.compile(template, { noEscape: !escape, strict })(data);
        // What a file or a socket would get: halves of surrogate pairs become U+FFFD.
        return { text: Buffer.from(text, 'utf8').toString('utf8') };
    } catch (error) {
        return { refused: String(error && error.message) };
    }
}

createInterface({ input: process.stdin, crlfDelay: Infinity }).on('line', (line) => {
    process.stdout.write(JSON.stringify(render(JSON.parse(line))) + '\n');
});
