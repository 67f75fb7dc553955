// What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client.
const started = process.hrtime.bigint();

exports.answer = (error, credentials) => {
  const told = error
    ? { Error: String(error) }
    : {
        AccessKeyId: credentials.accessKeyId,
        SecretAccessKey: credentials.secretAccessKey,
        Token: credentials.sessionToken,
      };
  console.log(JSON.stringify({ ...told, Seconds: Number(process.hrtime.bigint() - started) / 1e9 }));
};
