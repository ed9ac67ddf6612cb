/* mixpanel-import: `node --require ./to_the_fake.cjs mixpanel_import_client.cjs TASK OUT`, with NODE_PATH on its modules.
 *
 * Its hosts stand in the code, so to_the_fake.cjs gives the https module another scheme and host.
 *
 * Events are copied from the file that it writes. It reads profiles as JavaScript does, so integers beyond 2**53 come
 * rounded; __main__.py does that to the truth too.
 */
const fs = require("fs");
const path = require("path");
const mixpanelImport = require("mixpanel-import");

const [taskFile, outFile] = process.argv.slice(2);
const task = JSON.parse(fs.readFileSync(taskFile, "utf8"));
const account = { acct: task.username, pass: task.secret, project: task.project_id };
const quiet = { logs: false, verbose: false, showProgress: false, abridged: true };
const out = fs.createWriteStream(outFile);

async function main() {
	const exported = await mixpanelImport(account, null, {
		...quiet, recordType: "export", start: task.from_date, end: task.to_date,
		where: path.resolve("events.ndjson"),
	});
	for (const line of fs.readFileSync(path.resolve("events.ndjson"), "utf8").split("\n")) {
		if (line) out.write(`["event",${line}]\n`);
	}
	const profiles = await mixpanelImport(account, null, { ...quiet, recordType: "profile-export", skipWriteToDisk: true });
	for (const profile of profiles.dryRun) out.write(JSON.stringify(["profile", profile]) + "\n");
	out.end();
}

main().catch((error) => { console.error(error); process.exit(1); });
