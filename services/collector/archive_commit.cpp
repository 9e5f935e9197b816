// ARCHIVE, storing: one transaction of what waits, and the answers after it.

#include "services/collector/archive_state.hpp"

#include "common/storage/lmdb.hpp"
#include "holdfast/v1/envelope.pb.h"
#include "holdfast/v1/record.pb.h"

#include <set>

namespace holdfast::collector {

namespace {

// One commit: however much waits, the loop gets on and acknowledges in between.
constexpr std::uint64_t max_commit_bytes = 16 << 20;
constexpr std::size_t max_commit_batches = 4096;

} // namespace

void archive_state::wait(const arrived& a, bool fresh) {
  waiting.push_back({a, fresh});
  waiting_bytes += a.payload.size();
  if (waiting_bytes >= max_commit_bytes || waiting.size() >= max_commit_batches)
    return commit();
  if (!scheduled) {
    scheduled = true;
    self->send(self, commit_due{});  // behind everything that waits in the mailbox now
  }
}

void archive_state::commit() {
  beat->beat();
  if (waiting.empty() || !store_fresh())
    return;
  acknowledge();
  publish();
  waiting.clear();
  waiting_bytes = 0;
}

bool archive_state::store_fresh() {
  std::vector<archive::arrival> fresh;
  for (auto& [a, is_fresh] : waiting)
    if (is_fresh)
      fresh.push_back({a.origin, a.seqs, a.crc, a.gap_reason, a.historical, a.payload.view()});
  if (fresh.empty())
    return true;
  try {
    file->append(fresh, present);
  } catch (const storage::error& e) {
    give_up(e.what());
    if (e.unusable()) {
      file->condemn(e);
      ctx->rt.fail(e.what());
    }
    return false;
  }
  commits->add();
  for (auto& f : fresh) {
    records->add(static_cast<double>(f.seqs.count()));
    bytes->add(static_cast<double>(f.payload.size()));
  }
  check_space();
  return true;
}

// For taps at the centre: what is on disk now.
void archive_state::publish() {
  for (auto& [a, fresh] : waiting) {
    if (!fresh || a.gap_reason != 0)
      continue;
    v1::RecordPlace place;
    place.set_gateway(a.origin.gateway);
    place.set_epoch(a.origin.epoch);
    place.set_record_class(a.origin.record_class);
    place.set_first_seq(a.seqs.first);
    ctx->rt.publish_records(place, a.payload);
  }
}

void archive_state::acknowledge() {
  struct answer {
    std::map<std::string, range_set> stored;
    std::size_t cost = 0;
  };
  std::map<std::shared_ptr<session>, answer> answers;
  for (auto& [w, fresh] : waiting) {
    if (!w.from)
      continue;
    auto& a = answers[w.from];
    a.stored[w.origin.record_class].insert(w.seqs);
    a.cost += w.cost();
  }
  for (auto& [to, a] : answers) {
    std::map<std::string, std::vector<seq_range>> ranges;
    for (auto& [record_class, set] : a.stored)
      ranges[record_class] = set.ranges();
    to->send_ack(ranges, a.cost);
  }
}

// Nothing of this commit is stored: the sessions end without an acknowledgement, the gateways come again.
void archive_state::give_up(const std::string& why) {
  ctx->rt.set_state("archive", "failing", why, false);
  std::set<std::shared_ptr<session>> sessions;
  for (auto& [w, fresh] : waiting) {
    if (fresh)
      present.give_back(w.origin, w.seqs);
    if (w.from)
      sessions.insert(w.from);
  }
  for (auto& s : sessions)
    s->refuse("archive cannot store now: " + why);
  waiting.clear();
  waiting_bytes = 0;
}

} // namespace holdfast::collector
