// Mailtrap's official Node SDK and its nodemailer transport, with nothing set but the token: what they send and keep.
// NODE_PATH has the packages. Ends with status 1 and a reason when an answer is not what the SDK's types promise.
"use strict";

const assert = require("node:assert/strict");
const { setTimeout: sleep } = require("node:timers/promises");
const { MailtrapClient, MailtrapTransport } = require("mailtrap");
const nodemailer = require("nodemailer");

const [token, accountId, domain, simulator] = process.argv.slice(2);
const client = new MailtrapClient({ token, accountId: Number(accountId) });
const bulk = new MailtrapClient({ token, bulk: true });
const from = { email: `hello@${domain}`, name: "Größe & Co" };
const gif = Buffer.from("R0lGODlhAQABAAAAACw=", "base64");

const box = (name) => ({ email: `success+${name}@${simulator}`, name });

async function until(check, pause = 100) {
  for (const deadline = Date.now() + 40_000; Date.now() < deadline; await sleep(pause)) {
    const found = await check();
    if (found) return found;
  }
  throw new Error(`nothing came of ${check}`);
}

async function refused(call, text) {
  await assert.rejects(call, (error) => error.message.includes(text) || assert.fail(error.message));
}

async function sends() {
  const one = await client.send({
    from, to: [box("one")], cc: [box("copy")], reply_to: box("reply"), subject: "One", text: "one", html: "<p>one</p>",
    category: "node", custom_variables: { user: 7 }, headers: { "X-Order": "42" },
    attachments: [{ filename: "dot.gif", content: gif, type: "image/gif", disposition: "inline", content_id: "dot" }],
  });
  assert.equal(one.success, true);
  assert.equal(one.message_ids.length, 2);
  const many = await bulk.batchSend({
    base: { from, subject: "Many", text: "many", attachments: [{ filename: "a.txt", content: Buffer.from("a") }] },
    requests: [{ to: [box("two")] }, { to: [box("three")], subject: "Three" }, { to: [{ email: "wrong" }] }],
  });
  assert.deepEqual(many.responses.map((each) => each.success), [true, true, false]);
  await refused(client.send({ from: { email: "app@elsewhere.test" }, to: [box("never")], subject: "x", text: "x" }), "Unauthorized");
  await refused(client.send({ from, to: [box("never")], text: "x" }), "'subject' is required");
  await refused(new MailtrapClient({ token: "0".repeat(32) }).send({ from, to: [box("never")], subject: "x", text: "x" }), "Unauthorized");
}

async function transports() {
  const transport = nodemailer.createTransport(MailtrapTransport({ token }));
  const said = await transport.sendMail({
    from: { address: from.email, name: from.name },
    to: [{ address: box("mailer").email, name: "Ann" }, box("second").email],
    bcc: box("blind").email,
    replyTo: box("reply").email,
    subject: "Über nodemailer", text: "text", html: Buffer.from("<p>html</p>"),
    headers: { "X-Order": "42", "X-Many": ["1", "2"] },
    category: "nodemailer", customVariables: { user: "8" },
    attachments: [
      { filename: "dot.gif", content: gif, cid: "dot" },
      { filename: "note.txt", content: Buffer.from("Grüße") },  // text is taken for base64 by the SDK
    ],
  });
  assert.equal(said.message_ids.length, 3);
  const wrong = nodemailer.createTransport(MailtrapTransport({ token: "0".repeat(32) }));
  await refused(wrong.sendMail({ from: from.email, to: box("never").email, subject: "x", text: "x" }), "Unauthorized");
}

async function logs() {
  const wanted = { to: { operator: "ci_equal", value: [box("one").email, box("MAILER").email] }, sent_after: "2026-01-01T00:00:00Z" };
  const page = await until(async () => {
    const found = await client.emailLogs.getList({ filters: wanted });
    return found.messages.every((each) => each.status === "delivered") && found.total_count === 2 && found;
  });
  assert.deepEqual(page.messages.map((each) => each.category), ["nodemailer", "node"]);
  const older = await client.emailLogs.getList({ filters: wanted, search_after: page.messages[0].message_id });
  assert.deepEqual(older.messages.map((each) => each.custom_variables), [{ user: "7" }]);
  const one = await client.emailLogs.get(page.messages[0].message_id);
  assert.deepEqual(one.events.map((each) => each.event_type), ["delivery"]);
  const streams = await client.emailLogs.getList({ filters: { sending_stream: { operator: "equal", value: "bulk" } } });
  assert.equal(streams.total_count, 2);
}

async function templates() {
  const made = await client.templates.create({ name: "Welcome", subject: "Hi {{{name}}}", category: "welcome", body_text: "Hi {{{name}}}" });
  assert.deepEqual(await client.templates.get(made.id), made);
  assert.equal((await client.templates.update(made.id, { name: "Hello" })).name, "Hello");
  assert.equal((await client.templates.getList()).length, 1);
  const byTemplate = { from, to: [box("template")], template_uuid: made.uuid, template_variables: { name: "Ann" } };
  assert.equal((await client.send(byTemplate)).success, true);
  const transport = nodemailer.createTransport(MailtrapTransport({ token }));
  const said = await transport.sendMail({
    from: from.email, to: box("template2").email, templateUuid: made.uuid, templateVariables: { name: "Bob" },
  });
  assert.equal(said.success, true);
  await client.templates.delete(made.id);
  await refused(client.templates.get(made.id), "Not Found");
}

async function contacts() {
  const list = await client.contactLists.create({ name: "Customers" });
  const field = await client.contactFields.create({ name: "Cats", merge_tag: "cats", data_type: "integer" });
  assert.equal((await client.contactLists.getList()).length, 1);
  assert.equal((await client.contactFields.update(field.id, { name: "All cats", merge_tag: "cats" })).name, "All cats");
  const { data: ann } = await client.contacts.create({ email: "ann+a@dest.test", fields: { cats: 3 }, list_ids: [list.id] });
  // The SDK does not encode what it puts into a path.
  assert.equal((await client.contacts.get(ann.email)).data.id, ann.id);
  const changed = await client.contacts.update(ann.id, { fields: { cats: 4 }, list_ids_excluded: [list.id] });
  assert.deepEqual([changed.data.fields, changed.data.list_ids], [{ cats: 4 }, []]);
  await client.contactEvents.create(ann.email, { name: "Login", params: { n: 1 } });
  const started = await client.contactImports.create({ contacts: [{ email: "bob@dest.test", fields: { cats: 1 }, list_ids_included: [list.id] }] });
  await until(async () => (await client.contactImports.get(started.id)).status === "finished");
  const order = await client.contactExports.create({ filters: [{ name: "list_id", operator: "equal", value: [list.id] }] });
  await until(async () => (await client.contactExports.get(order.id)).url);
  await client.contacts.delete("bob@dest.test");
  await refused(client.contacts.create({ email: "ann" }), "is invalid");
  await client.contactFields.delete(field.id);
  await client.contactLists.delete(list.id);
}

async function account() {
  const { accounts, accountAccesses, permissions, apiTokens, billing } = client.general;
  assert.deepEqual((await accounts.getAllAccounts()).map((each) => each.id), [Number(accountId)]);
  const made = await apiTokens.create({ name: "Node", resources: [{ resource_type: "account", resource_id: Number(accountId), access_level: 10 }] });
  const reset = await apiTokens.reset(made.id);
  assert.equal((await apiTokens.get(reset.id)).last_4_digits, reset.token.slice(-4));
  const { data: domains } = await client.sendingDomains.getList();
  const { id } = await client.sendingDomains.get(domains[0].id);
  const access = (await accountAccesses.listAccountAccesses()).find((each) => each.specifier.id === reset.id);
  await permissions.bulkPermissionsUpdate(access.id, [{ resourceId: id, resourceType: "mailsend_domain", accessLevel: "viewer" }]);
  await permissions.bulkPermissionsUpdate(access.id, [{ resourceId: id, resourceType: "mailsend_domain", destroy: "true" }]);
  await accountAccesses.listAccountAccesses({ projectIds: ["1", "2"], inboxIds: ["3"] });
  await accountAccesses.removeAccountAccess(access.id);
  await apiTokens.delete(made.id);
  assert.ok((await billing.getCurrentBillingCycleUsage()).sending.usage.sent_messages_count.current > 0);
}

async function domains() {
  const made = await client.sendingDomains.create({ domain_name: "node.test" });
  assert.equal((await client.sendingDomains.update(made.id, { open_tracking_enabled: false })).open_tracking_enabled, false);
  const shop = { name: "Shop", address: "1 Main St", city: "Kyiv", country: "UA", zip_code: "1", website_url: "https://shop.test" };
  assert.equal((await client.companyInfo.create(made.id, shop)).data.city, "Kyiv");
  assert.equal((await client.companyInfo.update(made.id, { city: "Lviv" })).data.city, "Lviv");
  assert.equal((await client.companyInfo.get(made.id)).data.city, "Lviv");
  const gone = await client.suppressions.create({ email: "gone@dest.test", domain_id: made.id, sending_stream: "bulk" });
  const found = await client.suppressions.getList({ email: "gone@dest.test" });
  assert.deepEqual(found.map((each) => each.id), [gone.data.id]);
  await client.suppressions.delete(found[0].id);
  await client.sendingDomains.delete(made.id);
}

async function webhooksAndStats() {
  const wanted = { url: "https://hooks.dest.test/a", webhook_type: "email_sending", sending_stream: "bulk", event_types: ["delivery"] };
  const { data: made } = await client.webhooks.create(wanted);
  assert.equal(made.signing_secret.length, 32);
  assert.equal((await client.webhooks.update(made.id, { active: false })).data.active, false);
  assert.deepEqual((await client.webhooks.getList()).data.map((each) => each.id), [made.id]);
  assert.equal((await client.webhooks.get(made.id)).data.url, wanted.url);
  await client.webhooks.delete(made.id);
  const period = { start_date: "2026-01-01", end_date: new Date().toISOString().slice(0, 10), categories: ["node", "nodemailer"] };
  // Of statistics, ten questions a minute are answered.
  await until(async () => (await client.stats.get(period)).delivery_count === 5, 5_000);
  assert.deepEqual((await client.stats.byCategory(period)).map((each) => each.value).sort(), ["node", "nodemailer"]);
}

(async () => {
  for (const step of [sends, transports, logs, templates, contacts, account, domains, webhooksAndStats]) await step();
})();
