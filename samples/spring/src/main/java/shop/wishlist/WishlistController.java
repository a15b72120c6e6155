package shop.wishlist;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.List;
import org.springframework.http.HttpStatus;
import org.springframework.web.bind.annotation.DeleteMapping;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.PutMapping;
import org.springframework.web.bind.annotation.RequestHeader;
import org.springframework.web.bind.annotation.ResponseStatus;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.server.ResponseStatusException;

/** The wishes of whoever asks: the sidecar has verified them, and says who they are in x-user. */
@RestController
class WishlistController {

  /** A person, and the products that are still sold, as the catalog has them. */
  record Wishlist(String person, List<JsonNode> products) {}

  private final Wishes wishes;
  private final Catalog catalog;

  WishlistController(Wishes wishes, Catalog catalog) {
    this.wishes = wishes;
    this.catalog = catalog;
  }

  @GetMapping("/wishes")
  Wishlist show(@RequestHeader("x-user") String user) {
    return new Wishlist(user, wishes.of(user).stream().flatMap(id -> catalog.product(id).stream()).toList());
  }

  @PutMapping("/wishes/{product}")
  @ResponseStatus(HttpStatus.NO_CONTENT)
  void add(@RequestHeader("x-user") String user, @PathVariable String product) {
    if (catalog.product(product).isEmpty()) throw new ResponseStatusException(HttpStatus.NOT_FOUND, "no such product");
    wishes.add(user, product);
  }

  @DeleteMapping("/wishes/{product}")
  @ResponseStatus(HttpStatus.NO_CONTENT)
  void remove(@RequestHeader("x-user") String user, @PathVariable String product) {
    wishes.remove(user, product);
  }
}
