package shop.wishlist;

import java.util.List;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.stereotype.Repository;

/** Who wishes for what. */
@Repository
class Wishes {

  private final JdbcClient database;

  Wishes(JdbcClient database) {
    this.database = database;
  }

  List<String> of(String person) {
    return database
        .sql("select product from wishes where person = ? order by since, product")
        .param(person)
        .query(String.class)
        .list();
  }

  void add(String person, String product) {
    database
        .sql("insert into wishes (person, product) values (?, ?) on conflict do nothing")
        .params(person, product)
        .update();
  }

  void remove(String person, String product) {
    database.sql("delete from wishes where person = ? and product = ?").params(person, product).update();
  }
}
