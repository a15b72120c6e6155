import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Starts OpenSearch with one node that does everything, and ends it with its input. Arguments: the directory, the port. */
public class Start {
  public static void main(String[] arguments) throws Exception {
    try (var runner = new OpenSearchRunner()) {
      runner.onBuild((number, settings) -> settings
          .put("http.port", arguments[1])
          .put("network.host", "127.0.0.1")
          .putList("node.roles", "cluster_manager", "data", "ingest"));
      runner.build(OpenSearchRunner.newConfigs().numOfNode(1).basePath(arguments[0]));
      System.in.read();
    }
  }
}
