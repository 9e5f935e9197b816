#pragma once

// The inside of SOURCE; for its own sources only. source_actor.cpp has its life and the store's side,
// source_devices.cpp the devices' side.

#include "services/acquisition/acquisition.hpp"
#include "services/acquisition/framing.hpp"
#include "services/acquisition/intake.hpp"
#include "services/acquisition/producer.hpp"
#include "services/acquisition/recorder.hpp"
#include "services/acquisition/source_figures.hpp"

#include "common/core/time.hpp"
#include "common/telemetry/sparse.hpp"

#include <map>

namespace holdfast::acquisition {

/// The batch with this number lingered long enough; an older number means nothing any more.
struct linger_due { std::uint64_t batch; };
struct greet_due {};

struct device {
  std::shared_ptr<conversation> line;
  framer cut;
  bool held = false;        // waits for room in the window
  bool greeted = false;     // confirm: has been told where we stand, and may send
};

/// How the source's byte streams are cut; null: it has none.
const config::framing* framing_of(const config::source& s);

struct source_state {
  static inline const char* name = "SOURCE";

  caf::stateful_actor<source_state>* self = nullptr;
  std::shared_ptr<context> ctx;
  config::source settings;
  std::string producer_id;
  std::uint64_t session = random_id();
  bool confirms = false;
  bool can_wait = false;                  // a TCP device is held back by not reading
  std::shared_ptr<pulse::loop> beat;
  std::unique_ptr<source_figures> count;
  std::unique_ptr<recorder> records;
  std::unique_ptr<producer> store;
  std::unique_ptr<acquisition::intake> intake;
  std::map<conversation*, device> devices;
  log::sparse oversize_lines;             // a device sends as many as it likes
  std::uint64_t batch_number = 0;         // of the open batch: an old linger timer means nothing
  bool lingering = false;
  std::uint64_t confirmed = 0;            // last count written to the device
  bool stopping = false;
  bool heard_all = false;                 // stopping, and the intake brings nothing more
  producer::clock::time_point stop_by{};

  void open();
  void on_connected(const connected& c);
  void on_received(const received& r);
  void on_idle(const went_idle& w);
  void on_disconnected(const disconnected& d);
  void on_datagram(const datagram& d);
  void on_sampled(const sampled& s);
  void on_store(const v1::StoreMessage& m);
  void on_tick();
  void stop();

  framer::sink sink(const timestamp& at, const std::string& peer);
  void take_frame(const timestamp& at, std::string_view bytes);
  void take_oversize(const timestamp& at, std::size_t bytes, const std::string& peer);
  bool room() const;
  void tell_gaps();
  void after_records();
  void close_batch();
  void carry_out(producer::actions&& a);
  void hello();
  void resume_devices();
  void confirm();
  void quit_if_drained();
};

} // namespace holdfast::acquisition

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::linger_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(holdfast::acquisition::greet_due)
