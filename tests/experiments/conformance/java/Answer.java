import java.util.concurrent.Callable;

/** What a driver prints: one line of JSON, the credentials by EC2's names or the error of the client. */
final class Answer {
    private Answer() {}

    static void print(Callable<String> ask) {
        String told;
        try {
            told = ask.call();
        } catch (Exception error) {
            told = text("Error", error.toString());
        }
        System.out.println("{" + told + "}");
    }

    static String credentials(String accessKeyId, String secretAccessKey, String token) {
        return text("AccessKeyId", accessKeyId) + ", " + text("SecretAccessKey", secretAccessKey) + ", " + text("Token", token);
    }

    private static String text(String name, String value) {
        return "\"" + name + "\": \"" + value.replace("\\", "\\\\").replace("\"", "\\\"").replaceAll("\\s+", " ") + "\"";
    }
}
