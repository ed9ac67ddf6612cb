/* mixpanel-import: its export into `events.ndjson`; what its result counts as failed is written to stderr.
 * `verbose` is true, as its README has the default; the code has false, and then it says nothing of errors.
 *
 * Its hosts stand in the code: `node --require ../../scripts/to_the_fake.cjs` gives it another scheme and host.
 */
const fs = require("fs");
const path = require("path");
const mixpanelImport = require("mixpanel-import");

const task = JSON.parse(fs.readFileSync("task.json", "utf8"));
const account = { acct: task.username, pass: task.secret, project: task.project_id };

mixpanelImport(account, null, {
	recordType: "export", start: task.from_date, end: task.to_date, where: path.resolve("events.ndjson"),
	logs: false, verbose: true,
}).then((result) => {
	fs.writeFileSync("result.json", JSON.stringify(result));
	if (result.failed || (result.errors && result.errors.length)) console.error("result:", result.failed, result.errors);
}).catch((error) => { console.error(error); process.exit(1); });
