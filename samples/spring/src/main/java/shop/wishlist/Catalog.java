package shop.wishlist;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.Optional;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.stereotype.Component;
import org.springframework.web.client.HttpClientErrorException;
import org.springframework.web.client.RestClient;

/** The service catalog. The builder is Spring's own: calls carry the trace of the request that they belong to. */
@Component
class Catalog {

  private final RestClient client;

  Catalog(RestClient.Builder builder, @Value("${catalog.url}") String url) {
    this.client = builder.baseUrl(url).build();
  }

  Optional<JsonNode> product(String id) {
    try {
      return Optional.ofNullable(client.get().uri("/products/{id}", id).retrieve().body(JsonNode.class));
    } catch (HttpClientErrorException.NotFound gone) {
      return Optional.empty();
    }
  }
}
