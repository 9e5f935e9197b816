#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace holdfast::net {

/// Looks up the addresses of one name (not of an address) by c-ares, in an io_context's thread, and never blocks it:
/// /etc/hosts first, then the name servers, A and AAAA at once. The queries leave by an interface and from an own
/// address, as connections do, so each link learns what is said on its own way. A name server on this host (a loopback
/// address) is asked without: it is behind no interface.
class name_lookup {
public:
  struct settings {
    std::string interface;                  ///< SO_BINDTODEVICE; empty: as the routes say
    std::string source_address;             ///< its family is asked for alone; empty: as the routes say
    std::vector<std::string> name_servers;  ///< "address" or "address:port"; empty: those of /etc/resolv.conf
  };
  struct answer {
    std::vector<std::string> addresses;  ///< those that can be reached first (RFC 6724)
    std::string error;                   ///< the cause, where there are none
  };
  using done = std::function<void(const answer&)>;

  name_lookup(boost::asio::io_context& io, settings s);
  ~name_lookup();  ///< as cancel()
  name_lookup(const name_lookup&) = delete;
  name_lookup& operator=(const name_lookup&) = delete;

  /// Once. `d` runs in the io_context's thread, never from within this call, and not at all after cancel().
  void start(const std::string& host, done d);
  void cancel();

private:
  struct impl;
  std::shared_ptr<impl> impl_;
};

} // namespace holdfast::net
