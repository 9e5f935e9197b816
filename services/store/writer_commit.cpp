// WRITER, the commit: all that waits in one transaction, then the acknowledgements.

#include "services/store/writer_state.hpp"

#include "common/telemetry/log.hpp"
#include "holdfast/v1/envelope.pb.h"

#include <fmt/format.h>

#include <set>
#include <utility>

namespace holdfast::store {

using namespace std::chrono_literals;

void writer_state::schedule_commit(std::chrono::milliseconds delay) {
  if (delay > 0ms) {
    self->delayed_send(self, delay, commit_due{});
  } else if (!commit_scheduled) {
    commit_scheduled = true;
    self->send(self, commit_due{});  // behind everything that waits in the mailbox now
  }
}

void writer_state::commit() {
  beat->beat();
  while (space.careful() && !(changed.empty() && removable.empty()))
    if (!step(what::confirmations))
      return drop_offers();  // they are tried again with the next beat
  if (space.short_of_room() || (!pending.empty() && !affordable()))
    return drop_offers();
  if (pending.empty() && changed.empty() && removable.empty() && notes.empty())
    return;
  if (step(what::all))
    return;
  drop_offers();
  if (space.short_of_room())
    schedule_commit(0ms);  // what is confirmed may make room
}

// While the reserve is not there, free pages in the file must do for deletions.
bool writer_state::affordable() {
  auto& file = *ctx->file;
  if (file.reserve().held())
    return true;
  const auto room = file.room();
  if (room >= pending_bytes + pending_bytes / 8 + storage::reserve::bytes)
    return true;
  const auto bytes = file.used_bytes();
  space.refused(bytes, room);
  tell_space(bytes, "the disk is full");
  return false;
}

// One transaction. False: nothing of it happened, and what is confirmed still waits.
bool writer_state::step(what w) {
  beat->beat();
  const auto begin = std::chrono::steady_clock::now();
  std::vector<batch> done;
  std::uint64_t bytes = 0;
  try {
    batch_file::update u(*ctx->file);
    auto rest = apply_confirmed(u);
    if (w == what::all)
      done = apply_offers(u);
    if (full)
      u.touch();
    bytes = u.used_bytes();
    u.commit();
    changed.clear();
    const auto kept = std::exchange(notes, {});
    for (auto& tell : kept.then)
      tell();
    removable = std::move(rest);
  } catch (const storage::error& e) {
    if (e.full() && ctx->file->env().clear_dead_readers() > 0)
      return step(w);  // it was a reader that died with a transaction open
    failed(e, w);
    return false;
  }
  commits->add();
  commit_seconds->add(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  space.committed(bytes);
  if (space.short_of_room())
    space.room(ctx->file->room());
  if (w == what::all)
    after_offers(std::move(done));
  tell_space(bytes);
  return true;
}

// Returns what is left for the next commit.
std::map<std::string, std::vector<seq_range>> writer_state::apply_confirmed(batch_file::update& u) {
  for (auto& [key, dirty] : changed)
    u.delivered(key.first, key.second, delivery.delivered(key.first, key.second));
  for (auto& [link, row] : notes.links)
    u.link(link, row);
  for (auto& [destination, row] : notes.journals)
    u.journal(destination, row);
  std::map<std::string, std::vector<seq_range>> rest;
  auto most = space.removals();
  for (auto& [record_class, ranges] : removable)
    for (auto& r : ranges) {
      if (most > 0)
        most -= u.remove(record_class, r, most);
      if (most == 0)
        rest[record_class].push_back(r);
    }
  return rest;
}

std::vector<batch> writer_state::apply_offers(batch_file::update& u) {
  std::vector<batch> done;
  for (auto& o : pending) {
    auto& record_class = producers.find(o.producer)->record_class;
    done.push_back({record_class, u.append(record_class, o.count, o.crc, o.payload.view()), o.crc, 0, o.payload});
  }
  std::set<std::string> seen;
  for (auto o = pending.rbegin(); o != pending.rend(); ++o)
    if (seen.insert(o->producer).second)
      u.producer(o->producer, producers.find(o->producer)->record_class, o->seq, o->position);
  return done;
}

void writer_state::failed(const storage::error& e, what w) {
  failed_commits->add();
  auto& file = *ctx->file;
  if (e.unusable()) {
    file.condemn(e);
    return ctx->rt.fail(e.what());
  }
  if (!e.full())
    return ctx->rt.set_state("store", "failing", e.what(), false);
  const auto bytes = file.used_bytes();
  space.refused(bytes, file.room());
  if (w == what::confirmations && file.reserve().give_up())
    schedule_commit(std::chrono::milliseconds(0));
  tell_space(bytes, e.what());
}

// Unacknowledged as they are, they come again.
void writer_state::drop_offers() {
  pending.clear();
  pending_bytes = 0;
  producers.roll_back();
}

void writer_state::tell_space(std::uint64_t bytes, const std::string& cause) {
  used->set(static_cast<double>(bytes));
  const bool now_full = space.full();
  const auto text = fmt::format("{} of {} bytes{}{}", bytes, settings().quota.count, cause.empty() ? "" : "; ", cause);
  if (now_full && !(full && cause.empty() && space.short_of_room()))  // the cause stays to be seen until it is over
    ctx->rt.set_state("store", "full", text + "; producers wait", false);
  else if (!now_full)
    ctx->rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  if (now_full == full)
    return;
  full = now_full;
  ctx->rt.alarm("store_full", full, text);
  for (auto& [name, row] : producers.rows())
    if (row.session != 0)
      acknowledge(name);
}

void writer_state::after_offers(std::vector<batch>&& done) {
  std::set<std::string> seen;
  for (auto& o : pending) {
    producers.committed(o.producer, o.seq, o.position);
    seen.insert(o.producer);
    stored_records->add(o.count);
  }
  stored_bytes->add(static_cast<double>(pending_bytes));
  pending.clear();
  pending_bytes = 0;
  for (auto& p : seen)
    acknowledge(p);
  for (auto& b : done) {
    v1::RecordPlace place;
    place.set_gateway(ctx->rt.config().name);
    place.set_epoch(ctx->file->epoch());
    place.set_record_class(b.record_class);
    place.set_first_seq(b.seqs.first);
    ctx->rt.publish_records(place, b.payload);
  }
  if (listener && !done.empty())
    self->send(listener, stored{std::move(done)});
}

void writer_state::acknowledge(const std::string& producer) {
  auto* row = producers.find(producer);
  v1::StoreMessage m;
  auto& a = *m.mutable_ack();
  a.set_producer(producer);
  a.set_session(row->session);
  a.set_last_seq(row->committed);
  a.set_window_bytes(window());
  send(row->peer, m);
}

} // namespace holdfast::store
