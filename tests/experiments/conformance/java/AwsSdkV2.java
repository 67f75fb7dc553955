import software.amazon.awssdk.auth.credentials.AwsSessionCredentials;
import software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider;

/** The default chain of aws-sdk-java v2. */
final class AwsSdkV2 {
    public static void main(String[] arguments) {
        Answer.print(() -> {
            AwsSessionCredentials c = (AwsSessionCredentials) DefaultCredentialsProvider.create().resolveCredentials();
            return Answer.credentials(c.accessKeyId(), c.secretAccessKey(), c.sessionToken());
        });
    }
}
