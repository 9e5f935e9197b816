// Frames of field devices: the same however the bytes arrive, never above the limit.

#include "services/acquisition/framing.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <string>
#include <vector>

using namespace holdfast;
using namespace holdfast::fuzz;

namespace {

struct outcome {
  std::vector<std::string> frames;
  std::vector<std::size_t> oversize;
  bool sound = true;
  friend bool operator==(const outcome&, const outcome&) = default;
};

outcome cut(const config::framing& settings, std::string_view text, std::uint32_t seed) {
  acquisition::framer f(settings);
  outcome out;
  const acquisition::framer::sink sink{[&](std::string_view frame) { out.frames.emplace_back(frame); },
                                       [&](std::size_t n) { out.oversize.push_back(n); }};
  const auto most = settings.prefix_bytes + std::max(settings.max_length.count, settings.length.count);
  const auto feed = [&](std::string_view chunk) {
    out.sound = f.feed(chunk, sink);
    claim(f.pending() <= most, "a framer keeps no more than a frame");
    return out.sound;
  };
  if (seed == 0)
    feed(text);
  else
    in_chunks(text, seed, feed);
  f.idle(sink);
  for (auto& frame : out.frames)
    claim(frame.size() <= std::max(settings.max_length.count, settings.length.count), "no frame is above the limit");
  return out;
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  config::framing settings;
  settings.kind = static_cast<config::framing_kind>(in.number(4));
  settings.max_length.count = 1 + in.number(200);
  settings.length.count = settings.kind == config::framing_kind::fixed ? 1 + in.number(200) : 0;
  settings.prefix_bytes = 1U << in.number(3);
  settings.prefix_big_endian = in.coin();
  settings.prefix_counts_itself = in.coin();
  const auto text = in.rest();
  claim(cut(settings, text, 0) == cut(settings, text, static_cast<std::uint32_t>(size) + 1),
        "frames do not depend on how the bytes arrive");
  return 0;
}
