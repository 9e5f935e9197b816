#pragma once

// A collector's process: inbox, the core of ARCHIVE, in a thin shell that follows services/collector/archive_actor.cpp,
// and its sessions (session.cpp): hello, data, pings, silence. Left out: quotas, limits of memory, malformed frames.

#include "services/collector/inbox.hpp"
#include "tests/simulation/site.hpp"

#include <memory>
#include <set>

namespace holdfast::simulation {

class collector_process : public process {
public:
  collector_process(site& s, const std::string& destination);
  static collector_process& of(site& s, const std::string& destination);
  void accept(std::shared_ptr<connection> c);
  const std::string destination;
  bool kill_in_commit = false;

protected:
  void boot() override;
  void end() override;

private:
  struct session {
    std::shared_ptr<connection> line;
    std::string link, gateway{};
    std::uint64_t epoch = 0;
    bool heard = true;
    bool refused = false;
  };
  using peer = std::shared_ptr<session>;
  struct arrived {
    peer from;
    collector::origin origin;
    seq_range seqs;
    std::uint32_t crc, gap_reason;
    bool historical, check_only;
    blob payload;
  };
  struct pending { arrived batch; bool fresh; };

  void on_frame(const peer& from, const wire& m);
  void watch(const peer& p);
  void on_arrived(const arrived& a);
  void take_gap(const arrived& a);
  bool same(const arrived& a) const;
  void reject(const arrived& a, int why);
  void wait(const arrived& a, bool fresh);
  void commit(task then = {});
  void stand();
  void acknowledge();
  void give_up();

  site& site_;
  archive_disk& disk_;
  std::unique_ptr<mailbox> box_;
  std::unique_ptr<collector::inbox> present_;
  std::vector<pending> waiting_;
  std::set<peer> sessions_;
  bool scheduled_ = false;
};

} // namespace holdfast::simulation
