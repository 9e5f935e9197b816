#include "common/net/path.hpp"

#include <cstddef>
#include <linux/tcp.h>  // glibc's <netinet/tcp.h> of Debian 12 knows an older tcp_info, and the two exclude each other
#include <netinet/in.h>
#include <sys/socket.h>

namespace holdfast::net {

namespace {
constexpr std::uint64_t header_bytes = 52;  // IPv4, TCP and its time stamps
} // namespace

path_figures read_path(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0
      || size < offsetof(tcp_info, tcpi_notsent_bytes) + sizeof info.tcpi_notsent_bytes)
    return {};
  const bool tells_sent = size >= offsetof(tcp_info, tcpi_bytes_sent) + sizeof info.tcpi_bytes_sent;
  const std::uint64_t sent = tells_sent ? info.tcpi_bytes_sent : info.tcpi_bytes_acked;
  const std::uint64_t segments = std::uint64_t{info.tcpi_segs_out} + info.tcpi_segs_in;
  return {.acknowledged = info.tcpi_bytes_acked,
          .waiting = info.tcpi_unacked > 0 || info.tcpi_notsent_bytes > 0,
          .delivered = info.tcpi_delivered,
          .data_segments = info.tcpi_data_segs_out,
          .retransmits = info.tcpi_total_retrans,
          .round_trip = std::chrono::microseconds(info.tcpi_rtt),
          .variation = std::chrono::microseconds(info.tcpi_rttvar),
          .wire_bytes = sent + info.tcpi_bytes_received + header_bytes * segments};
}

} // namespace holdfast::net
