// WRITER, the commit: all that waits in one transaction, then the acknowledgements.

#include "services/store/writer_state.hpp"

#include "common/telemetry/log.hpp"
#include "holdfast/v1/envelope.pb.h"

#include <fmt/format.h>

#include <set>

namespace holdfast::store {

using namespace std::chrono_literals;

namespace {
constexpr auto retry_delay = 500ms;
} // namespace

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
  if (pending.empty() && changed.empty() && removable.empty())
    return;
  std::vector<batch> done;
  if (try_commit(done))
    return after_commit(std::move(done));
  pending.clear();
  pending_bytes = 0;
  producers.roll_back();
  failed_commits->add();
  self->delayed_send(self, retry_delay, housekeeping_due{});
}

bool writer_state::try_commit(std::vector<batch>& done) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    batch_file::update u(*ctx->file);
    apply_confirmed(u);
    for (auto& o : pending) {
      auto& record_class = producers.find(o.producer)->record_class;
      done.push_back({record_class, u.append(record_class, o.count, o.crc, o.payload.view()), o.crc, 0, o.payload});
    }
    std::set<std::string> seen;
    for (auto o = pending.rbegin(); o != pending.rend(); ++o)
      if (seen.insert(o->producer).second)
        u.producer(o->producer, producers.find(o->producer)->record_class, o->seq, o->position);
    const auto bytes = u.used_bytes();
    u.commit();
    note_space(bytes);
  } catch (const storage::error& e) {
    ctx->rt.set_state("store", e.full() ? "full" : "failing", e.what(), false);
    if (e.full())
      full = true;
    if (e.damaged())
      ctx->rt.fail(e.what());
    return false;
  }
  commits->add();
  commit_seconds->add(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return true;
}

void writer_state::apply_confirmed(batch_file::update& u) {
  for (auto& [key, dirty] : changed)
    u.delivered(key.first, key.second, delivery.delivered(key.first, key.second));
  for (auto& [record_class, ranges] : removable)
    for (auto& r : ranges)
      u.remove(record_class, r);
}

// Full at the quota, open again a little below it: the border must not be crossed with every batch.
void writer_state::note_space(std::uint64_t bytes) {
  used->set(static_cast<double>(bytes));
  const auto quota = settings().quota.count;
  const bool now_full = full ? bytes > quota - quota / 20 : bytes >= quota;
  if (now_full)
    ctx->rt.set_state("store", "full", fmt::format("{} of {} bytes; producers wait", bytes, quota), false);
  else
    ctx->rt.set_state("store", "open", fmt::format("epoch {:016x}", ctx->file->epoch()));
  if (now_full != full) {
    full = now_full;
    ctx->rt.alarm("store_full", full, fmt::format("{} of {} bytes", bytes, quota));
    for (auto& [name, row] : producers.rows())
      if (row.session != 0)
        acknowledge(name);
  }
}

void writer_state::after_commit(std::vector<batch>&& done) {
  changed.clear();
  removable.clear();
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
