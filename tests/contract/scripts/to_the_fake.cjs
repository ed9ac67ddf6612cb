/* Sends what is meant for Mixpanel to the URL in FAKE_MIXPANEL: another scheme and host, nothing else. */
const http = require("http");
const https = require("https");

const fake = new URL(process.env.FAKE_MIXPANEL);
const requestByHttps = https.request;

https.request = function request(url, options, callback) {
	if (typeof url !== "string" && !(url instanceof URL)) [url, options, callback] = [null, url, options];
	const asked = url ? { ...require("url").urlToHttpOptions(new URL(url)), ...options } : options;
	if (!/(^|\.)mixpanel\.com$/.test(asked.hostname || asked.host || "")) return requestByHttps.apply(https, arguments);
	return http.request({ ...asked, protocol: "http:", host: fake.hostname, hostname: fake.hostname, port: fake.port, agent: undefined }, callback);
};
