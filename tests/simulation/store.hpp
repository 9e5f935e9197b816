#pragma once

// The store's process: the cores of WRITER and DISPATCHER in thin shells. They follow services/store/writer_actor.cpp,
// writer_commit.cpp, writer_room.cpp, dispatcher_actor.cpp, dispatcher_flow.cpp and dispatcher_links.cpp line by line
// where those decide something; metrics, log, alarms, full disks, budgets and damaged pages are left out.

#include "services/store/class_policy.hpp"
#include "services/store/expiry.hpp"
#include "services/store/live_cache.hpp"
#include "services/store/producer_table.hpp"
#include "services/store/retry_pace.hpp"
#include "services/store/route_board.hpp"
#include "services/store/space.hpp"
#include "tests/simulation/disks.hpp"
#include "tests/simulation/site.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>

namespace holdfast::simulation {

class store_process;

// -- to the store, from acquisition and uplinks -----------------------------------------------------------------------

struct offer {
  std::string producer;
  std::uint64_t session, seq;
  std::uint32_t count, crc;
  std::string position;
  blob payload;
};
struct delivered { std::string link; std::uint64_t session, epoch; ranges_by_class ranges; };
struct rejected {
  std::string link;
  std::uint64_t session, epoch;
  std::string record_class;
  std::uint64_t first;
  int reason;
};

class writer {
public:
  writer(store_process& p, site& s);
  void on_hello(const std::string& producer, std::uint64_t session, const std::string& record_class);
  void on_offer(const offer& o);
  void on_confirmed(const std::string& destination, const std::string& record_class, const std::vector<seq_range>& r);
  void on_subscribe();
  void on_renew();
  void on_keep(const std::map<std::string, v1::LinkRow>& links, const std::map<std::string, v1::JournalRow>& journals);
  mailbox box;

private:
  std::uint64_t window(const std::string& record_class) const {
    return waiting_.contains(record_class) ? 0 : site_.config.store.producer_window.count;
  }
  void tick();
  void schedule_commit(duration delay);
  void commit(task then = {});
  /// What leaves in one transaction; it counts when that stands.
  struct leaving {
    std::map<std::string, store::give_way_order> orders;
    store::expiry ages;
    bool more = false;
    std::vector<std::pair<std::string, std::uint64_t>> gone{};  // class, first
  };
  void open_room();
  void make_room(store_file::update& u, leaving& out);
  void displace(store_file::update& u, const store::class_policy::victim& v, std::uint64_t steps, leaving& out);
  void expire(store_file::update& u, leaving& out);
  void give_up(store_file::update& u, const std::string& record_class, seq_range held, std::uint32_t why, leaving& out);
  void note_ages(store_file::update& u, const std::vector<store::batch>& done, leaving& out);
  void left(leaving&& out);
  void watch_room();
  std::int64_t boottime() const;
  void transact(store_file::update u, std::function<void(bool)> then);
  void stand(const std::vector<store::batch>& done, leaving&& out);
  void drop_offers();
  void tell_space();
  void acknowledge(const std::string& producer);
  void refuse(const offer& o);

  store_process& process_;
  site& site_;
  store::producer_table producers_;
  store::delivery_state delivery_;
  std::vector<offer> pending_;
  std::uint64_t pending_bytes_ = 0;
  std::map<std::pair<std::string, std::string>, bool> changed_;
  std::map<std::string, std::vector<seq_range>> removable_;
  std::map<std::string, v1::LinkRow> links_;
  std::map<std::string, v1::JournalRow> journals_;
  bool commit_scheduled_ = false;
  store::space space_;
  store::class_policy policy_;
  std::map<std::string, store::give_way_order> orders_;
  store::expiry ages_;
  bool expiring_ = false;
  std::int64_t ages_kept_ = 0;
  std::set<std::string> waiting_;  // classes whose producers wait
};

class dispatcher {
public:
  dispatcher(store_process& p, site& s);
  void on_undelivered(const std::vector<std::tuple<std::string, std::string, std::vector<seq_range>>>& entries,
                      const std::map<std::string, std::uint64_t>& heads);
  void on_stored(const std::vector<store::batch>& batches);
  void on_gave_way(const std::vector<std::pair<std::string, std::uint64_t>>& batches);
  void on_renewed();
  void on_hello(const std::string& link, std::uint64_t session, const std::string& destination);
  void on_ready(const std::string& link, std::uint64_t session, std::uint64_t epoch, std::uint64_t connection,
                std::uint64_t window, const ranges_by_class& present, const ranges_by_class& elsewhere);
  void on_status(const v1::LinkStatus& s);
  void on_delivered(const delivered& d);
  void on_rejected(const rejected& r);
  void on_down(const std::string& link, std::uint64_t session, const std::string& why);
  void on_command(const std::string& link, v1::LinkCommand::What what);
  bool idle() const;
  mailbox box;

private:
  struct attached { std::string destination; std::uint64_t session, connection; };
  store::moment present() const;
  attached* find(const std::string& link, std::uint64_t session);
  attached* current(const std::string& link, std::uint64_t session, std::uint64_t epoch);
  void refuse(const std::string& link, std::uint64_t session, v1::LinkRefusal::Reason why);
  void route_due();
  void tick();
  void tell();
  void arm(std::optional<time_point> due);
  void pump();
  bool carry_out(store::dispatch_plan& plan, const std::string& destination, const store::dispatch_plan::order& o,
                 int& reads);
  void confirm(store::dispatch_plan& plan, const std::string& destination, const std::string& c, seq_range r);
  void lease(store::dispatch_plan& plan, const std::string& destination, const store::dispatch_plan::order& o,
             const store::batch& b);
  void send_batch(const std::string& link, const store::batch& b, store::dispatch_plan::kind how);
  void renew_when_settled();
  void observe();

  store_process& process_;
  site& site_;
  std::map<std::string, store::route_board> boards_;
  std::map<std::string, attached> links_;
  store::live_cache cache_;
  const std::uint64_t life_;
  bool informed_ = false, pump_scheduled_ = false, renewing_ = false;
  store::retry_pace renewals_;
  time_point armed_ = time_point::max();
};

class store_process : public process {
public:
  explicit store_process(site& s) : process(s.w, "store"), site_(s) {}
  std::unique_ptr<store_file> file;
  std::unique_ptr<writer> write;
  std::unique_ptr<dispatcher> dispatch;
  /// An operator's; forgotten by a store that is not there.
  void command(const std::string& link, v1::LinkCommand::What what);
  bool kill_in_commit = false;  // a fault waits for the next one

protected:
  void boot() override;
  void end() override;

private:
  site& site_;
};

} // namespace holdfast::simulation
