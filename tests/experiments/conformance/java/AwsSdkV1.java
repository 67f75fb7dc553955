import com.amazonaws.auth.AWSSessionCredentials;
import com.amazonaws.auth.DefaultAWSCredentialsProviderChain;

/** The default chain of aws-sdk-java v1. */
final class AwsSdkV1 {
    public static void main(String[] arguments) {
        Answer.print(() -> {
            AWSSessionCredentials c = (AWSSessionCredentials) new DefaultAWSCredentialsProviderChain().getCredentials();
            return Answer.credentials(c.getAWSAccessKeyId(), c.getAWSSecretKey(), c.getSessionToken());
        });
    }
}
