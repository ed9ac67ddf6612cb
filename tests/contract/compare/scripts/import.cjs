/* mixpanel-import: its export into `events.ndjson`; what its result counts as failed is told on stderr.
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
	logs: false, verbose: false, showProgress: false, abridged: true,
}).then((result) => {
	fs.writeFileSync("result.json", JSON.stringify(result));
	if (result.failed || (result.errors && result.errors.length)) console.error("result:", result.failed, result.errors);
}).catch((error) => { console.error(error); process.exit(1); });
