// The default chain of aws-sdk-js v3.
const { defaultProvider } = require("@aws-sdk/credential-provider-node");
const { answer } = require("./answer");

defaultProvider()().then(
  (credentials) => answer(null, credentials),
  (error) => answer(error),
);
