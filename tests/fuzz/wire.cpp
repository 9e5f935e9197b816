// The uplink's byte stream, as both ends read it: the same frames however they arrive; what is written is read.

#include "common/net/wire.hpp"
#include "holdfast/v1/wire.pb.h"
#include "tests/fuzz/fuzz.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::fuzz;

namespace {

constexpr std::size_t most = 4096;
constexpr std::size_t past_a_buffer = 20'000;

struct outcome {
  std::vector<std::pair<std::string, std::string>> frames;
  std::string error;
  friend bool operator==(const outcome&, const outcome&) = default;
};

outcome read(std::string_view text, std::uint32_t seed) {
  net::wire_reader reader(most, most);
  std::vector<net::wire_reader::frame> kept;  // their bytes must stay what they were
  outcome out;
  const auto feed = [&](std::string_view chunk) {
    while (!chunk.empty() && out.error.empty()) {
      const auto [to, room] = reader.room();
      claim(room >= 1 && room < 2 * 512 * 1024, "there is room, and a stranger gets no more than some");
      const auto n = std::min(room, chunk.size());
      std::memcpy(to, chunk.data(), n);
      reader.filled(n);
      chunk.remove_prefix(n);
      while (auto f = reader.next())
        kept.push_back(std::move(*f));
      out.error = reader.error();
    }
    return out.error.empty();
  };
  // Some go on until the reader has to make room while frames are held.
  const auto rounds = text.size() % 64 == 1 ? past_a_buffer / text.size() : 1;
  for (std::size_t i = 0; i < rounds && out.error.empty(); ++i) {
    if (seed == 0)
      feed(text);
    else
      in_chunks(text, seed, feed);
  }
  for (auto& f : kept)
    out.frames.emplace_back(f.header.view(), f.payload.view());
  return out;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto whole = read(text, 0);
  claim(whole == read(text, static_cast<std::uint32_t>(size) + 1), "frames do not depend on how the bytes arrive");
  for (auto& [header, payload] : whole.frames) {
    v1::WireMessage m;
    if (!m.ParseFromString(header))
      continue;
    const auto again = read(net::encode_wire(m, payload.size()) + payload, 7);
    v1::WireMessage back;
    if (m.ByteSizeLong() <= most)
      claim(!again.frames.empty() && again.frames[0].second == payload && back.ParseFromString(again.frames[0].first)
              && back.SerializeAsString() == m.SerializeAsString(), "what is written is read");
  }
  return 0;
}
