// The default chain of aws-sdk-js v2.
const AWS = require("aws-sdk");
const { answer } = require("./answer");

new AWS.CredentialProviderChain().resolve(answer);
