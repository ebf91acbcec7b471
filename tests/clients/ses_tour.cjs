// The AWS SDK for JavaScript and nodemailer's SES transport, with nothing set but endpoint, region and keys.
// NODE_PATH has the packages. Ends with status 1 and a reason where an answer is not what their users build on.
"use strict";

const assert = require("node:assert/strict");
const {
  SESv2Client, SendEmailCommand, GetAccountCommand, NotFoundException, MessageRejected,
} = require("@aws-sdk/client-sesv2");
const nodemailer = require("nodemailer");

const [endpoint, accessKeyId, secretAccessKey, sender] = process.argv.slice(2);
const client = (more) => new SESv2Client({
  endpoint, region: "eu-west-1", credentials: { accessKeyId, secretAccessKey }, maxAttempts: 1, ...more,
});
const ses = client();

const simple = (to, more) => new SendEmailCommand({
  FromEmailAddress: `Größe & Co <${sender}>`,
  Destination: { ToAddresses: [to] },
  Content: { Simple: { Subject: { Data: "Über das SDK" }, Body: { Text: { Data: "text" }, Html: { Data: "<p>html</p>" } } } },
  ...more,
});

async function sdk(told) {
  const said = await ses.send(simple("sdk@dest.test", { EmailTags: [{ Name: "category", Value: "node" }] }));
  assert.match(said.MessageId, /^0102[0-9a-f]{12}-[0-9a-f-]{36}-000000$/);
  told["sdk@dest.test"] = said.MessageId;
  assert.equal((await ses.send(new GetAccountCommand({}))).SendQuota.MaxSendRate > 0, true);
  await assert.rejects(ses.send(simple("x@dest.test", { ConfigurationSetName: "none" })), NotFoundException);
  await assert.rejects(ses.send(simple("x@dest.test", { FromEmailAddress: "n@elsewhere.test" })), (error) =>
    error instanceof MessageRejected && error.message.includes("failed the check in region EU-WEST-1: n@elsewhere.test"));
  const wrong = client({ credentials: { accessKeyId, secretAccessKey: "x".repeat(40) } });
  await assert.rejects(wrong.send(new GetAccountCommand({})), { name: "InvalidSignatureException" });
}

async function mailer(told) {
  const transport = nodemailer.createTransport({ SES: { sesClient: ses, SendEmailCommand } });
  assert.equal(await transport.verify(), true);
  const wrong = client({ credentials: { accessKeyId: "AKIAIOSFODNN7EXAMPLE", secretAccessKey } });
  await assert.rejects(nodemailer.createTransport({ SES: { sesClient: wrong, SendEmailCommand } }).verify());
  const said = await transport.sendMail({
    from: { address: sender, name: "Größe & Co" },
    to: "mailer@dest.test", bcc: "blind@dest.test",
    subject: "Über nodemailer", text: "text", html: "<p>html</p>",
    attachments: [{ filename: "Größe.txt", content: "Grüße" }],
    ses: { EmailTags: [{ Name: "category", Value: "nodemailer" }] },
  });
  // nodemailer makes it of the answer's id and the client's region.
  assert.match(said.messageId, /^<0102[0-9a-f-]+@eu-west-1\.amazonses\.com>$/);
  told["mailer@dest.test"] = said.response;
}

(async () => {
  const told = {};
  await sdk(told);
  await mailer(told);
  console.log(JSON.stringify(told));
})().catch((error) => { console.error(error); process.exit(1); });
