// Multipart messages of the bus: conversations with the store, control, and the event bus as health and tap read it.

#include "holdfast/v1/control.pb.h"
#include "holdfast/v1/dispatch.pb.h"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/ingest.pb.h"
#include "services/ctl/tap_message.hpp"
#include "services/health/fleet.hpp"
#include "tests/fuzz/fuzz.hpp"

#include <nlohmann/json.hpp>

#include <vector>

using namespace holdfast;
using namespace holdfast::fuzz;

namespace {

template <class Message> void round(std::string_view bytes) {
  Message m;
  Message again;
  if (m.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    claim(again.ParseFromString(m.SerializeAsString()) && again.SerializeAsString() == m.SerializeAsString(),
          "what is written is read");
}

std::vector<blob> parts(input& in) {
  std::vector<blob> out;
  while (!in.empty() && out.size() < 8)
    out.emplace_back(std::string(in.piece()));
  return out;
}

// The same messages again and again: what is kept of them must not grow.
void fleet(input& in) {
  health::fleet f("plant", "1", {{"store"}, {"watchdog"}, {"health", true, true}});
  health::instant now{health::milliseconds(1000), 1'700'000'000'000};
  const auto rounds = 1 + (in.number(32) == 0 ? 250U : 0U);
  const auto messages = in;
  for (unsigned round = 0; round < rounds; ++round) {
    for (auto left = messages; !left.empty();) {
      const bool status = left.coin();
      std::vector<blob> message(left.number(5));
      for (auto& part : message)
        part = blob(std::string(left.piece()));
      status ? f.take_status(message, now) : f.take(message, now);
      now.monotonic += health::milliseconds(round % 2 == 0 ? 100 : 3000);
      f.turn(now);
    }
  }
  const auto picture = f.snapshot(now);
  claim(picture->journal.size() <= health::fleet::journal_limit, "the journal is bounded");
  claim(picture->instances.size() <= 100, "strangers do not add up");
}

void tap(input& in) {
  static ctl::payload_reader reader;
  const auto message = parts(in);
  v1::Envelope envelope;
  if (message.size() != 3 || !envelope.ParseFromArray(message[1].data(), static_cast<int>(message[1].size())))
    return;
  ctl::gap_counter gaps;
  gaps.take(envelope, message[0].view());
  const auto line = ctl::message_line(message[0].view(), envelope, message[2].view(), reader, true);
  claim(nlohmann::json::accept(line), "a line of the tap is JSON");
  ctl::message_line(message[0].view(), envelope, message[2].view(), reader, false);
}

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  input in(data, size);
  switch (in.number(8)) {
    case 0: round<v1::ProducerMessage>(in.rest()); break;
    case 1: round<v1::StoreMessage>(in.rest()); break;
    case 2: round<v1::LinkMessage>(in.rest()); break;
    case 3: round<v1::RouteMessage>(in.rest()); break;
    case 4: round<v1::ControlRequest>(in.rest()); break;
    case 5: round<v1::ControlReply>(in.rest()); break;
    case 6: fleet(in); break;
    default: tap(in); break;
  }
  return 0;
}
