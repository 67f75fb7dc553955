// What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client.
exports.answer = (error, credentials) =>
  console.log(
    JSON.stringify(
      error
        ? { Error: String(error) }
        : {
            AccessKeyId: credentials.accessKeyId,
            SecretAccessKey: credentials.secretAccessKey,
            Token: credentials.sessionToken,
          },
    ),
  );
