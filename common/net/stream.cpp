#include "common/net/stream.hpp"

#include <boost/asio/ssl.hpp>
#include <boost/asio/write.hpp>
#include <fmt/format.h>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <stdexcept>
#include <sys/socket.h>

namespace holdfast::net {

namespace asio = boost::asio;
using asio::ip::tcp;

namespace {

class plain_stream final : public stream {
public:
  explicit plain_stream(tcp::socket s) : socket_(std::move(s)) {}
  void read_some(asio::mutable_buffer into, done handler) override {
    socket_.async_read_some(into, std::move(handler));
  }
  void write(const std::vector<asio::const_buffer>& from, done handler) override {
    asio::async_write(socket_, from, std::move(handler));
  }
  void handshake(bool, std::function<void(boost::system::error_code)> handler) override { handler({}); }
  tcp::socket& socket() override { return socket_; }

private:
  tcp::socket socket_;
};

class tls_stream final : public stream {
public:
  tls_stream(tcp::socket s, std::shared_ptr<asio::ssl::context> context, const std::string& name)
      : context_(std::move(context)), stream_(std::move(s), *context_) {
    if (name.empty())
      return;
    // By OpenSSL's own check rather than a callback of Asio: then a mismatch is told as one.
    auto* expected = ::SSL_get0_param(stream_.native_handle());
    boost::system::error_code not_an_address;
    asio::ip::make_address(name, not_an_address);
    const int known = not_an_address ? ::X509_VERIFY_PARAM_set1_host(expected, name.c_str(), name.size())
                                     : ::X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str());
    if (known != 1)
      throw std::runtime_error(fmt::format("failed to expect certificate name {}", name));
    if (!not_an_address)
      return;  // no SNI for addresses (RFC 6066)
    // What the macro SSL_set_tlsext_host_name does, without its C cast.
    ::SSL_ctrl(stream_.native_handle(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
               const_cast<char*>(name.c_str()));
  }
  void read_some(asio::mutable_buffer into, done handler) override {
    stream_.async_read_some(into, std::move(handler));
  }
  void write(const std::vector<asio::const_buffer>& from, done handler) override {
    asio::async_write(stream_, from, std::move(handler));
  }
  void handshake(bool as_client, std::function<void(boost::system::error_code)> handler) override {
    stream_.async_handshake(as_client ? asio::ssl::stream_base::client : asio::ssl::stream_base::server,
                            std::move(handler));
  }
  tcp::socket& socket() override { return stream_.next_layer(); }
  std::string explain(boost::system::error_code ec) override {
    const auto verdict = ::SSL_get_verify_result(stream_.native_handle());
    return verdict == X509_V_OK ? ec.message()
                                : fmt::format("{}: {}", ec.message(), ::X509_verify_cert_error_string(verdict));
  }

private:
  std::shared_ptr<asio::ssl::context> context_;
  asio::ssl::stream<tcp::socket> stream_;
};

void load(const std::string& file, const char* what, const std::function<void(boost::system::error_code&)>& how) {
  boost::system::error_code ec;
  how(ec);
  if (ec)
    throw std::runtime_error(fmt::format("failed to load {} {}: {}", what, file, ec.message()));
}

constexpr int most_unsent = 32 * 1024;  // a second at 256 kbit/s

} // namespace

void stream::close() {
  boost::system::error_code ignored;
  socket().shutdown(tcp::socket::shutdown_both, ignored);
  socket().close(ignored);
}

void stream::remember_peer() {
  boost::system::error_code ec;
  const auto e = socket().remote_endpoint(ec);
  if (!ec)
    peer_ = e.address().is_v6() ? fmt::format("[{}]:{}", e.address().to_string(), e.port())
                                : fmt::format("{}:{}", e.address().to_string(), e.port());
}

std::shared_ptr<asio::ssl::context> make_tls_context(const config::tls& t, bool as_client) {
  auto c = std::make_shared<asio::ssl::context>(as_client ? asio::ssl::context::tls_client
                                                          : asio::ssl::context::tls_server);
  auto* native = c->native_handle();
  ::SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Forward secrecy and AEAD only: TLS 1.3 has nothing else, TLS 1.2 is held to the same.
  ::SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL");
  ::SSL_CTX_set_options(native, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  if (!t.ca_file.empty())
    load(t.ca_file, "certificate authority", [&](auto& ec) { c->load_verify_file(t.ca_file, ec); });
  else if (as_client)
    c->set_default_verify_paths();
  if (!t.certificate_file.empty()) {
    load(t.certificate_file, "certificate", [&](auto& ec) { c->use_certificate_chain_file(t.certificate_file, ec); });
    load(t.key_file, "key", [&](auto& ec) { c->use_private_key_file(t.key_file, asio::ssl::context::pem, ec); });
  }
  if (as_client)
    c->set_verify_mode(asio::ssl::verify_peer);
  else if (!t.ca_file.empty())
    c->set_verify_mode(asio::ssl::verify_peer | asio::ssl::verify_fail_if_no_peer_cert);
  return c;
}

std::shared_ptr<stream> make_stream(tcp::socket socket, const std::shared_ptr<asio::ssl::context>& context,
                                    const std::string& expected_name) {
  std::shared_ptr<stream> s;
  if (context)
    s = std::make_shared<tls_stream>(std::move(socket), context, expected_name);
  else
    s = std::make_shared<plain_stream>(std::move(socket));
  s->remember_peer();
  return s;
}

void tune(tcp::socket& socket, const config::keepalive& k, std::chrono::milliseconds user_timeout) {
  const int fd = socket.native_handle();
  const auto set = [fd](int level, int option, int value) { ::setsockopt(fd, level, option, &value, sizeof value); };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, static_cast<int>(k.idle.count()));
  set(IPPROTO_TCP, TCP_KEEPINTVL, static_cast<int>(k.interval.count()));
  set(IPPROTO_TCP, TCP_KEEPCNT, static_cast<int>(k.count));
  set(IPPROTO_TCP, TCP_NOTSENT_LOWAT, most_unsent);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, static_cast<int>(user_timeout.count()));
}

} // namespace holdfast::net
