#include "tests/simulation/source.hpp"

#include "common/core/crc32c.hpp"
#include "tests/simulation/store.hpp"

namespace holdfast::simulation {

using namespace std::chrono_literals;

namespace {
constexpr auto tick_period = 250ms;  // as in source_actor.cpp
constexpr std::int64_t epoch_nanos = 1'700'000'000'000'000'000;
} // namespace

acquisition_process::acquisition_process(site& s) : process(s.w, "acquisition"), site_(s) {
  for (auto& c : s.config.sources)
    sources_.push_back({c, std::holds_alternative<config::tcp_server_source>(c.kind)});
  for (std::size_t i = 0; i < sources_.size(); ++i)
    w.after(1s, [this, i] { device(i); });
  bus = std::make_unique<bus_link>(*this, *s.store, [this](bool yes) {
    for (auto& x : sources_)
      carry_out(x, x.now->store.reachable(yes, w.now()));
  });
}

void acquisition_process::boot() {
  for (std::size_t i = 0; i < sources_.size(); ++i) {
    auto& s = sources_[i];
    s.now = std::make_unique<life_of_source>(s.settings);
    s.now->session = w.load.next() | 1;
    s.now->records.set_synchronised(true);
    after(tick_period, [this, i] { tick(i); });
  }
}

void acquisition_process::end() {
  for (auto& s : sources_)
    s.now.reset();
  site_.model.acquisition_ended();
}

acquisition::timestamp acquisition_process::stamp() const {
  const auto n = std::chrono::nanoseconds(w.now().time_since_epoch()).count();
  return {epoch_nanos + n, n};
}

// -- devices ----------------------------------------------------------------------------------------------------------

void acquisition_process::device(std::size_t i) {
  auto& s = sources_[i];
  const auto burst = w.load.yes(0.05) ? 30 : 1 + w.load.below(4);
  if (site_.producing) {
    for (std::uint64_t k = 0; k < burst; ++k) {
      if (s.repeats) {
        site_.model.made(s.settings.stream, ++s.made);
      } else if (alive()) {
        enter([this, i] {
          auto& x = sources_[i];
          site_.model.made(x.settings.stream, ++x.made);
          take(x, x.made);
          after_records(x);
        });
      }
    }
    if (s.repeats)
      enter([this, i] { feed(sources_[i]); });
  }
  w.after(w.load.between(20ms, 400ms), [this, i] { device(i); });
}

void acquisition_process::feed(source& s) {
  auto& at = *s.now;
  if (!at.greeted)
    return;
  while (at.next <= s.made && at.store.room())  // the connection is not read while there is none
    take(s, at.next++);
  after_records(s);
}

void acquisition_process::take(source& s, std::uint64_t n) {
  auto& r = s.now->records;
  const auto at = stamp();
  if (r.needs_new_batch(at))
    close_batch(s);
  const bool room = s.repeats || s.now->store.room();
  if (!room && w.has(defect::gaps_untold))
    return;
  r.frame(at, std::to_string(n), room);
  if (r.full())
    close_batch(s);
}

// -- batches ----------------------------------------------------------------------------------------------------------

void acquisition_process::after_records(source& s) {
  auto& at = *s.now;
  if (at.records.empty())
    return;
  if (at.store.settled() || at.records.full())
    return close_batch(s);
  if (!std::exchange(at.lingering, true))
    after(s.settings.batch.linger, [this, &s, n = at.batch_number] {
      if (n == s.now->batch_number)
        close_batch(s);
    });
}

void acquisition_process::close_batch(source& s) {
  auto& at = *s.now;
  if (at.records.empty())
    return;
  ++at.batch_number;
  at.lingering = false;
  auto b = at.records.take();
  const auto crc = crc32c(b.payload);
  carry_out(s, at.store.push(b.records, crc, blob(std::move(b.payload)), w.now()));
}

void acquisition_process::carry_out(source& s, acquisition::producer::actions&& a) {
  auto& at = *s.now;
  const auto name = "acquisition/" + s.settings.name;
  if (a.hello) {
    bus->to_server([&to = *site_.store, name, id = at.session, c = s.settings.record_class] {
      to.write->box.send([&x = *to.write, name, id, c] { x.on_hello(name, id, c); });
    });
    after(at.store.hello_wait(), [this, &s] { carry_out(s, s.now->store.tick(w.now())); });
  }
  for (auto& b : a.send)
    bus->to_server([&to = *site_.store, o = offer{name, at.session, b.seq, b.records, b.crc, std::to_string(b.total),
                                                  b.payload}] {
      to.write->box.send([&x = *to.write, o] { x.on_offer(o); });
    });
}

// -- store ------------------------------------------------------------------------------------------------------------

acquisition_process::source* acquisition_process::of(const std::string& producer, std::uint64_t session) {
  for (auto& s : sources_)
    if ("acquisition/" + s.settings.name == producer && s.now->session == session)
      return &s;
  return nullptr;
}

void acquisition_process::on_welcome(const std::string& producer, std::uint64_t session, std::uint64_t last,
                                     const std::string& position, std::uint64_t window) {
  auto* s = of(producer, session);
  if (s == nullptr)
    return;
  const auto total = position.empty() ? 0 : std::strtoull(position.c_str(), nullptr, 10);
  carry_out(*s, s->now->store.welcomed(last, total, window, w.now()));
  after_answer(*s);
}

void acquisition_process::on_ack(const std::string& producer, std::uint64_t session, std::uint64_t last,
                                 std::uint64_t window) {
  if (auto* s = of(producer, session)) {
    carry_out(*s, s->now->store.acknowledged(last, window, w.now()));
    after_answer(*s);
  }
}

void acquisition_process::on_refusal(const std::string& producer, std::uint64_t session) {
  if (auto* s = of(producer, session)) {
    carry_out(*s, s->now->store.refused(w.now()));
    after_answer(*s);
  }
}

void acquisition_process::after_answer(source& s) {
  auto& at = *s.now;
  if (at.store.settled())
    close_batch(s);
  if (!s.repeats || !at.store.open())
    return;
  const auto total = at.store.total_committed() + (w.has(defect::position_ahead) ? at.store.kept_records() : 0);
  if (!at.greeted && !(at.store.settled() && at.records.empty()))
    return;
  if (!at.greeted)
    at.next = total + 1;
  else if (total == at.confirmed)
    return feed(s);
  at.greeted = true;
  at.confirmed = total;
  site_.model.told_device(s.settings.stream, total);
  feed(s);
}

void acquisition_process::tick(std::size_t i) {
  auto& s = sources_[i];
  auto& at = *s.now;
  carry_out(s, at.store.tick(w.now()));
  if (at.records.owes_gaps() && at.store.room()) {
    if (at.records.needs_new_batch(stamp()))
      close_batch(s);
    at.records.tell_gaps(stamp());
    after_records(s);
  }
  if (s.repeats)
    feed(s);
  after(tick_period, [this, i] { tick(i); });
}

bool acquisition_process::settled() const {
  if (!alive())
    return false;
  for (auto& s : sources_)
    if (!s.now->store.open() || !s.now->store.settled() || !s.now->records.empty() || s.now->records.owes_gaps()
        || (s.repeats && s.now->next <= s.made))
      return false;
  return true;
}

} // namespace holdfast::simulation
