// Reports with the client of the JDK. It offers HTTP/2 by `Upgrade: h2c` unless told otherwise.
// java Report.java URL JOB

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;

public class Report {
    public static void main(String[] args) throws Exception {
        var client = HttpClient.newHttpClient();
        var url = URI.create(args[0] + "/v1/jobs/" + args[1] + "/reports");
        for (int n = 1; n <= 3; n++) {
            var body = "{\"type\": \"log\", \"message\": \"" + n + "\"}";
            var request = HttpRequest.newBuilder(url)
                .header("Content-Type", "application/json")
                .POST(BodyPublishers.ofString(body))
                .build();
            var answer = client.send(request, BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.version());
        }
    }
}
