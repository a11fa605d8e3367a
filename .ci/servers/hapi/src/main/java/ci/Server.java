package ci;

import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings.ClientIdStrategyEnum;
import ca.uhn.fhir.jpa.api.config.JpaStorageSettings.IdStrategyEnum;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.api.dao.IFhirSystemDao;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.binary.api.IBinaryStorageSvc;
import ca.uhn.fhir.jpa.binstore.DatabaseBinaryContentStorageSvcImpl;
import ca.uhn.fhir.jpa.config.HapiJpaConfig;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.util.HapiEntityManagerFactoryUtil;
import ca.uhn.fhir.jpa.model.config.PartitionSettings;
import ca.uhn.fhir.jpa.model.config.SubscriptionSettings;
import ca.uhn.fhir.jpa.model.dialect.HapiFhirH2Dialect;
import ca.uhn.fhir.jpa.provider.JpaCapabilityStatementProvider;
import ca.uhn.fhir.jpa.provider.JpaSystemProvider;
import ca.uhn.fhir.jpa.search.DatabaseBackedPagingProvider;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.rest.server.HardcodedServerAddressStrategy;
import ca.uhn.fhir.rest.server.RestfulServer;
import ca.uhn.fhir.rest.server.interceptor.RequestValidatingInterceptor;
import ca.uhn.fhir.rest.server.interceptor.SearchPreferHandlingInterceptor;
import ca.uhn.fhir.rest.server.provider.ResourceProviderFactory;
import ca.uhn.fhir.rest.server.util.ISearchParamRegistry;
import jakarta.persistence.EntityManagerFactory;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.sql.Connection;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Properties;
import javax.sql.DataSource;
import org.apache.commons.dbcp2.BasicDataSource;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.ServerConnector;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.springframework.beans.factory.config.ConfigurableListableBeanFactory;
import org.springframework.context.annotation.AnnotationConfigApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.orm.jpa.JpaTransactionManager;
import org.springframework.orm.jpa.LocalContainerEntityManagerFactoryBean;

/**
 * HAPI FHIR JPA R4 on loopback, in memory. Settings come from the environment; ../../../../../README.md lists them.
 * Writes "listening URL" once it answers.
 */
public class Server {
  static String setting(String name, String otherwise) {
    String value = System.getenv("HAPI_" + name);
    return value == null || value.isEmpty() ? otherwise : value;
  }

  static int number(String name, int otherwise) {
    return Integer.parseInt(setting(name, Integer.toString(otherwise)));
  }

  static boolean on(String name) {
    String value = setting(name, "false");
    if (!value.equals("true") && !value.equals("false")) {
      throw new IllegalArgumentException("HAPI_" + name + " is neither true nor false: " + value);
    }
    return value.equals("true");
  }

  @Configuration
  @Import({JpaR4Config.class, HapiJpaConfig.class, JpaBatch2Config.class, Batch2JobsConfig.class,
    SubscriptionChannelConfig.class, ThreadPoolFactoryConfig.class})
  static class Beans {
    @Bean
    JpaStorageSettings storageSettings() {
      JpaStorageSettings s = new JpaStorageSettings();
      s.setResourceClientIdStrategy(ClientIdStrategyEnum.valueOf(setting("CLIENT_IDS", "ANY")));
      // Sequential numbers, HAPI's default, would collide with numeric ids chosen by clients.
      s.setResourceServerIdStrategy(IdStrategyEnum.UUID);
      s.setEnforceReferentialIntegrityOnWrite(on("REFERENTIAL_INTEGRITY"));
      s.setEnforceReferentialIntegrityOnDelete(on("REFERENTIAL_INTEGRITY"));
      s.setAllowExternalReferences(true);
      // Synthea's patients point at "Practitioner?identifier=...".
      s.setAllowInlineMatchUrlReferences(true);
      s.setExpireSearchResultsAfterMillis(1000L * number("SEARCH_EXPIRY_SECONDS", 3600));
      int reuse = number("SEARCH_REUSE_SECONDS", 0);
      s.setReuseCachedSearchResultsForMillis(reuse > 0 ? 1000L * reuse : null);
      s.setHibernateSearchIndexFullText(false);
      return s;
    }

    @Bean
    PartitionSettings partitionSettings() {
      return new PartitionSettings();
    }

    @Bean
    SubscriptionSettings subscriptionSettings() {
      return new SubscriptionSettings();
    }

    @Bean
    IBinaryStorageSvc binaryStorage() {
      return new DatabaseBinaryContentStorageSvcImpl();
    }

    @Bean(destroyMethod = "close")
    BasicDataSource dataSource() {
      BasicDataSource d = new BasicDataSource();
      d.setUrl("jdbc:h2:mem:fhir;DB_CLOSE_DELAY=-1");
      d.setUsername("sa");
      d.setPassword("");
      d.setMaxTotal(30);
      return d;
    }

    @Bean
    LocalContainerEntityManagerFactoryBean entityManagerFactory(
        ConfigurableListableBeanFactory beans, FhirContext context, DataSource database, JpaStorageSettings settings) {
      Properties p = new Properties();
      p.put("hibernate.dialect", HapiFhirH2Dialect.class.getName());
      p.put("hibernate.hbm2ddl.auto", "update");
      p.put("hibernate.jdbc.batch_size", "20");
      p.put("hibernate.search.enabled", "false");
      LocalContainerEntityManagerFactoryBean f =
          HapiEntityManagerFactoryUtil.newEntityManagerFactory(beans, context, settings);
      f.setPersistenceUnitName("fhir");
      f.setDataSource(database);
      f.setJpaProperties(p);
      return f;
    }

    @Bean
    JpaTransactionManager transactionManager(EntityManagerFactory f) {
      return new JpaTransactionManager(f);
    }
  }

  static RestfulServer fhir(AnnotationConfigApplicationContext app) {
    ISearchParamRegistry params = app.getBean(ISearchParamRegistry.class);
    IValidationSupport support = app.getBean(IValidationSupport.class);
    RestfulServer fhir = new RestfulServer(app.getBean(FhirContext.class));
    fhir.registerProviders(app.getBean("myResourceProvidersR4", ResourceProviderFactory.class).createProviders());
    fhir.registerProvider(app.getBean(JpaSystemProvider.class));
    fhir.setServerConformanceProvider(new JpaCapabilityStatementProvider(
        fhir, app.getBean(IFhirSystemDao.class), app.getBean(JpaStorageSettings.class), params, support));

    DatabaseBackedPagingProvider pages = app.getBean(DatabaseBackedPagingProvider.class);
    pages.setDefaultPageSize(number("PAGE_DEFAULT", 20));
    pages.setMaximumPageSize(number("PAGE_MAX", 200));
    fhir.setPagingProvider(pages);

    // Without it, HAPI ignores "Prefer: handling=lenient".
    fhir.registerInterceptor(new SearchPreferHandlingInterceptor(params));
    if (on("VALIDATE")) {
      RequestValidatingInterceptor check = new RequestValidatingInterceptor();
      check.addValidatorModule(new FhirInstanceValidator(support));
      fhir.registerInterceptor(check);
    }
    String address = setting("ADDRESS", "");
    if (!address.isEmpty()) {
      fhir.setServerAddressStrategy(new HardcodedServerAddressStrategy(address));
    }
    return fhir;
  }

  /**
   * POST /expire-searches: every search made so far is over, and its next links answer 410. HAPI itself keeps a search
   * that somebody follows for about eleven minutes more, whatever its settings say: too long for a test to wait.
   */
  static class ExpireSearches extends HttpServlet {
    private final transient DataSource database;

    ExpireSearches(DataSource database) {
      this.database = database;
    }

    @Override
    protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
      try (Connection c = database.getConnection();
          Statement s = c.createStatement()) {
        s.executeUpdate("delete from HFJ_SEARCH_RESULT");
        s.executeUpdate("delete from HFJ_SEARCH_INCLUDE");
        response.getWriter().println(s.executeUpdate("delete from HFJ_SEARCH"));
      } catch (SQLException e) {
        response.sendError(500, e.getMessage());
      }
    }
  }

  static void serve() throws Exception {
    org.eclipse.jetty.server.Server jetty = new org.eclipse.jetty.server.Server();
    ServerConnector connector = new ServerConnector(jetty);
    connector.setHost("127.0.0.1");
    connector.setPort(number("PORT", 0));
    connector.open(); // before the slow part: a port that is taken shows at once
    jetty.addConnector(connector);

    ServletContextHandler root = new ServletContextHandler("/");
    AnnotationConfigApplicationContext app = new AnnotationConfigApplicationContext(Beans.class);
    root.addServlet(new ServletHolder(fhir(app)), "/fhir/*");
    root.addServlet(new ServletHolder(new ExpireSearches(app.getBean(DataSource.class))), "/expire-searches");
    jetty.setHandler(root);
    jetty.setStopAtShutdown(true);
    jetty.start();
    System.out.println("listening http://127.0.0.1:" + connector.getLocalPort() + "/fhir");
    jetty.join();
  }

  public static void main(String[] args) {
    try {
      serve();
    } catch (Throwable e) { // threads of the half-built application would keep the process alive
      e.printStackTrace();
      System.exit(1);
    }
  }
}
