#include "common/net/path.hpp"

#include <cstddef>
#include <linux/tcp.h>  // glibc's <netinet/tcp.h> of Debian 12 knows an older tcp_info, and the two exclude each other
#include <netinet/in.h>
#include <sys/socket.h>

namespace holdfast::net {

path_figures read_path(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0
      || size < offsetof(tcp_info, tcpi_notsent_bytes) + sizeof info.tcpi_notsent_bytes)
    return {};
  return {.acknowledged = info.tcpi_bytes_acked,
          .waiting = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
          .delivered = info.tcpi_delivered};
}

} // namespace holdfast::net
