package shop.wishlist;

import java.net.Authenticator;
import java.net.InetSocketAddress;
import java.net.PasswordAuthentication;
import java.net.ProxySelector;
import java.net.URI;
import java.net.http.HttpClient;
import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.http.client.ClientHttpRequestFactoryBuilder;
import org.springframework.boot.http.client.JdkClientHttpRequestFactoryBuilder;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

/** On a laptop calls go out by HTTP_PROXY, which Java does not look at. In a pod there is none: the kernel redirects. */
@Configuration
@ConditionalOnProperty("http_proxy")
class OutboundProxy {

  @Bean
  JdkClientHttpRequestFactoryBuilder throughTheProxy(@Value("${http_proxy}") URI proxy) {
    String[] credential = proxy.getUserInfo().split(":", 2);
    return ClientHttpRequestFactoryBuilder.jdk()
        .withHttpClientCustomizer(
            client ->
                client
                    .version(HttpClient.Version.HTTP_1_1)
                    .proxy(ProxySelector.of(new InetSocketAddress(proxy.getHost(), proxy.getPort())))
                    .authenticator(
                        new Authenticator() {
                          @Override
                          protected PasswordAuthentication getPasswordAuthentication() {
                            return getRequestorType() == RequestorType.PROXY
                                ? new PasswordAuthentication(credential[0], credential[1].toCharArray())
                                : null;
                          }
                        }));
  }
}
