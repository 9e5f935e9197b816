#include "services/collector/dump.hpp"

#include "common/render/record_json.hpp"
#include "common/storage/damage_exit.hpp"
#include "common/storage/stored_batch.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"
#include "services/collector/archive_view.hpp"
#include "services/collector/dump_progress.hpp"
#include "services/collector/hole_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <map>
#include <optional>
#include <thread>
#include <utility>

namespace holdfast::collector {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds poll = 50ms, file_check = 1s;  // --follow: new batches; is it the same file
// One look into the file: then its read transaction ends, before anything is written. Whoever reads the output may stop
// reading; a transaction held meanwhile would keep every freed page from the collector.
constexpr int batches_per_look = 256;
constexpr std::size_t text_per_look = 1 << 20;

class dumper {
public:
  dumper(const dump_options& o, const text_sink& out) : options_(o), out_(out), view_(o.directory) {}

  int run() {
    learn_origins();
    if (options_.stats_only)
      return print_origins();
    bool more = true;
    for (; !stopped() && (more || options_.follow); learn_origins()) {
      more = options_.arrival_order ? by_arrival() : by_seq();
      write_out();
      if (options_.follow && replaced())
        throw std::runtime_error(
          fmt::format("failed to follow {}: its data.mdb was replaced or removed", options_.directory));
      if (!more && options_.follow && !stopped())
        std::this_thread::sleep_for(poll);
    }
    if (!more && !options_.follow && !left_)
      tell_unread();
    write_out();
    return code();
  }

private:
  bool stopped() const { return left_ || (options_.stop && options_.stop()); }
  int code() const { return origins_lost_ ? 2 : damaged_ ? 1 : 0; }

  bool replaced() {
    const auto now = std::chrono::steady_clock::now();
    if (now < next_file_check_)
      return false;
    next_file_check_ = now + file_check;
    return view_.replaced();
  }

  // Origins change only with what arrives.
  void learn_origins() {
    const auto number = view_.last_arrival();
    if (number == learned_)
      return;
    learned_ = number;
    auto found = view_.origins();
    for (auto& row : found.rows)
      known_[row.id()].learn(std::move(row));
    if (!found.complete && !std::exchange(origins_lost_, true))
      errors_ += fmt::format("failed to read {}: origins are damaged, with all that is theirs\n", options_.directory);
  }

  int print_origins() {
    for (auto& [id, o] : known_)
      text_ += o.sum();
    write_out();
    return code();
  }

  // True: there may be more right now. Each origin goes on by itself: the hole of one, such as the last epoch of a
  // store that was wiped, holds up no other.
  bool by_seq() {
    bool more = false;
    for (auto& [id, o] : known_) {
      if (!wanted(o))
        continue;
      bool hole = false;
      more = one_origin(id, o, hole) || more;
      if (options_.follow)
        tell_hole(id, o, hole);
      write_out();
      if (left_)
        return false;
    }
    return more;
  }

  bool one_origin(std::uint64_t id, dump_progress& o, bool& hole) {
    const auto prefix = storage::seq_key(id);
    int n = 0;
    try {
      storage::txn t(view_.env(), storage::txn::kind::read);
      storage::cursor c(t, view_.index());
      auto e = c.at_or_after(prefix + storage::seq_key(o.next));
      for (auto seq = view_.number_in(e, prefix); seq; e = c.next(), seq = view_.number_in(e, prefix)) {
        if (*seq < o.next) {  // numbers are never printed twice
          complain(fmt::format("damaged batch: {} seq {}: begins within another\n", o.who(), *seq));
          break;
        }
        const bool jump = *seq > o.next;
        hole = options_.follow && jump && !o.has_arrived({o.next, *seq - 1});
        if (hole)
          return false;  // what belongs there is still on its way
        if (++n > batches_per_look || text_.size() > text_per_look || stopped())
          return true;
        if (options_.follow && jump)
          tell_lost(o, *seq - 1);
        if (!print(o, *seq, t, e->value))
          return true;
      }
    } catch (const storage::error& e) {
      if (!e.damaged())
        throw;
    }
    if (o.next > o.last())
      return false;
    if (n == 0) {  // what arrived cannot be found from here
      const auto to = view_.readable_after(view_.index(), prefix, o.next, o.last()).value_or(o.last() + 1);
      if (options_.follow)
        tell_lost(o, to - 1);
      o.next = to;
    }
    return true;
  }

  bool by_arrival() {
    int n = 0;
    try {
      storage::txn t(view_.env(), storage::txn::kind::read);
      storage::cursor c(t, view_.arrivals());
      auto e = c.at_or_after(storage::seq_key(next_arrival_));
      for (auto number = view_.number_in(e, {}); number; e = c.next(), number = view_.number_in(e, {})) {
        if (*number < next_arrival_
            || (*number > *learned_ && (*number != next_arrival_ || view_.last_arrival() < *number)))
          break;  // damage: they are without holes, and none is behind the last
        if (*number > *learned_ || ++n > batches_per_look || text_.size() > text_per_look || stopped())
          return true;
        next_arrival_ = *number + 1;
        const auto seq = storage::key_seq(e->value.substr(8));
        auto o = known_.find(storage::key_seq(e->value.substr(0, 8)));
        if (o == known_.end())
          complain(fmt::format("damaged origin: of arrival {} seq {}\n", *number, seq));
        else if (wanted(o->second) && !print(o->second, seq, t, e->key))
          return true;
      }
    } catch (const storage::error& e) {
      if (!e.damaged())
        throw;
    }
    if (next_arrival_ > *learned_)
      return false;
    if (n == 0) {
      const auto to = view_.readable_after(view_.arrivals(), {}, next_arrival_, *learned_).value_or(*learned_ + 1);
      if (options_.follow)
        complain(fmt::format("unreadable: arrivals {} to {}\n", next_arrival_, to - 1));
      next_arrival_ = to;
    }
    return true;
  }

  bool wanted(const dump_progress& o) const {
    return options_.gateway.empty() || options_.gateway == o.row().gateway();
  }

  // False: the transaction met damage and is of no use any more.
  bool print(dump_progress& o, std::uint64_t first, storage::txn& t, std::string_view number) {
    o.next = first + 1;
    const auto place = storage::seq_key(o.row().id()) + storage::seq_key(first);
    try {
      const auto value = t.get(view_.batches(), number);
      const auto b = value ? storage::stored_batch::decode(*value, {place, number}) : std::nullopt;
      const auto wrong = b ? print_batch(o, first, *b) : "has not the header that was written there";
      if (!wrong.empty())
        complain(fmt::format("damaged batch: {} seq {}: {}\n", o.who(), first, wrong));
      return true;
    } catch (const storage::error& e) {
      if (!e.damaged())
        throw;
      complain(fmt::format("damaged batch: {} seq {}: {}\n", o.who(), first, e.what()));
      return false;
    }
  }

  // What is wrong with it; empty: nothing. Numbers beyond its own belong to the next batch, whatever it carries.
  std::string print_batch(dump_progress& o, std::uint64_t first, const storage::stored_batch& b) {
    v1::RecordPlace place;
    place.set_gateway(o.row().gateway());
    place.set_epoch(o.row().epoch());
    place.set_record_class(o.row().record_class());
    place.set_first_seq(first);
    if (!b.intact())
      return "does not match its checksum";
    if (b.payload.empty()) {
      o.read(first, b.record_count);
      render::append_json_gap(text_, place, b.record_count, static_cast<int>(b.gap_reason));
      return {};
    }
    if (!batch_.ParseFromArray(b.payload.data(), static_cast<int>(b.payload.size())))
      return "is not a holdfast.v1.Batch";
    const auto has = static_cast<std::uint32_t>(batch_.records_size());
    const auto count = std::min(has, b.record_count);
    o.read(first, count);
    render::batch_lines lines(place, batch_);
    for (int i = 0; i < static_cast<int>(count); ++i)
      if (options_.stream.empty() || is_chosen(batch_.records(i)))
        lines.append_json(text_, i);
    return has == b.record_count ? "" : fmt::format("announces {} records, has {}", b.record_count, has);
  }

  bool is_chosen(const v1::Record& r) const {
    const auto stream = static_cast<int>(r.stream());
    return stream < batch_.streams_size() && batch_.streams(stream) == options_.stream;
  }

  void tell_hole(std::uint64_t id, const dump_progress& o, bool hole) {
    switch (holes_.look(id, hole ? std::optional(o.next) : std::nullopt, std::chrono::steady_clock::now())) {
      case hole_watch::news::none: return;
      case hole_watch::news::waits:
        errors_ += fmt::format("waiting: {}: seq {} has not arrived, {} newer records are held\n", o.who(), o.next,
                               o.held_beyond());
        return;
      case hole_watch::news::goes_on: errors_ += fmt::format("going on: {}: at seq {}\n", o.who(), o.next); return;
    }
  }

  void tell_lost(const dump_progress& o, std::uint64_t last) {
    complain(fmt::format("unreadable: {}: seq {} to {}\n", o.who(), o.next, last));
  }

  void tell_unread() {
    for (auto& [id, o] : known_)
      if (const auto unread = o.unread(); !unread.empty() && wanted(o))
        complain(fmt::format("unreadable: {}: {}\n", o.who(), unread));
  }

  void complain(const std::string& text) {
    damaged_ = true;
    errors_ += text;
  }

  // Never inside a transaction; standard error may be as stuck as the output.
  void write_out() {
    if (!text_.empty() && !left_ && !out_(text_))
      left_ = true;
    text_.clear();
    if (!errors_.empty())
      std::cerr << std::exchange(errors_, {}) << std::flush;
  }

  const dump_options& options_;
  const text_sink& out_;
  archive_view view_;
  std::map<std::uint64_t, dump_progress> known_;
  std::optional<std::uint64_t> learned_;  // last arrival whose origin is known
  std::uint64_t next_arrival_ = 1;
  hole_watch holes_;
  std::chrono::steady_clock::time_point next_file_check_{};
  v1::Batch batch_;
  std::string text_;    // of this look, not yet written
  std::string errors_;  // of this look, not yet written
  bool damaged_ = false;
  bool origins_lost_ = false;
  bool left_ = false;   // nobody reads any more
};

} // namespace

int dump(const dump_options& options, const text_sink& out) {
  try {
    const storage::damage_exit guard(options.directory);
    return dumper(options, out).run();
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 2;
  }
}

} // namespace holdfast::collector
