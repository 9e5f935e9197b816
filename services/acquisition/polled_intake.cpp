// Sources that understand their devices: Modbus masters and the simulator.

#include "services/acquisition/intake.hpp"
#include "services/acquisition/modbus/bus_master.hpp"
#include "services/acquisition/waveform.hpp"

#include "common/core/time.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

namespace holdfast::acquisition {

namespace {

const char* state_text(modbus::device_state s) {
  switch (s) {
    case modbus::device_state::online: return "online";
    case modbus::device_state::offline: return "offline";
    case modbus::device_state::unknown: return "unknown";
  }
  return "unknown";
}

class modbus_intake final : public intake {
public:
  explicit modbus_intake(intake_setup s)
      : to_(s.to),
        master_(std::get<config::modbus_source>(s.settings.kind), s.settings.name,
                {.on_samples = [to = s.to](std::vector<sample> v) { to->send(sampled{std::move(v)}); },
                 .on_device =
                   [to = s.to, name = s.settings.name](const std::string& device, modbus::device_state state,
                                                       const std::string& detail) {
                     to->send(intake_state{"device:" + name + "/" + device, state_text(state), detail,
                                           state != modbus::device_state::offline});
                   }},
                s.ctx->rt.pulse(), s.ctx->rt.metrics()),
        name_(s.settings.name) {}
  ~modbus_intake() override { modbus_intake::stop(); }
  void start() override {
    to_->send(intake_state{"source:" + name_, "polling", {}, true});
    master_.start();
  }
  void stop() override {
    master_.stop();
    to_->send(intake_ended{});
  }

private:
  std::shared_ptr<actor::slot> to_;
  modbus::bus_master master_;
  std::string name_;
};

/// Signals with noise, for demonstrations.
class simulator_intake final : public intake {
public:
  explicit simulator_intake(intake_setup s)
      : setup_(std::move(s)), settings_(std::get<config::simulator_source>(setup_.settings.kind)),
        beat_(setup_.ctx->rt.pulse().add("simulator:" + setup_.settings.name, settings_.period + std::chrono::seconds(2))) {}
  ~simulator_intake() override { simulator_intake::stop(); }

  void start() override {
    setup_.to->send(intake_state{"source:" + setup_.settings.name, "simulating", {}, true});
    thread_ = std::thread([this] { run(); });
  }

  void stop() override {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable())
      thread_.join();
    setup_.to->send(intake_ended{});
  }

private:
  void run() {
    auto due = std::chrono::steady_clock::now();
    const auto begin = due;
    std::mt19937_64 chance(std::random_device{}());
    std::unique_lock lock(mutex_);
    while (!stop_) {
      lock.unlock();
      beat_->beat();
      const std::chrono::duration<double> t = std::chrono::steady_clock::now() - begin;
      std::vector<sample> out;
      for (auto& s : settings_.signals)
        out.push_back({setup_.settings.name + "/" + s.name, now(), signal_value(s, t.count(), chance)});
      setup_.to->send(sampled{std::move(out)});
      due = std::max(due + settings_.period, std::chrono::steady_clock::now());
      lock.lock();
      wake_.wait_until(lock, due, [this] { return stop_; });
    }
  }

  intake_setup setup_;
  config::simulator_source settings_;
  std::shared_ptr<pulse::loop> beat_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

} // namespace

std::unique_ptr<intake> make_modbus(intake_setup s) { return std::make_unique<modbus_intake>(std::move(s)); }
std::unique_ptr<intake> make_simulator(intake_setup s) { return std::make_unique<simulator_intake>(std::move(s)); }

timestamp now() { return {unix_nanos(), boottime_nanos()}; }

std::unique_ptr<intake> make_intake(intake_setup s) {
  struct maker {
    intake_setup& s;
    std::unique_ptr<intake> operator()(const config::tcp_server_source&) const { return make_tcp_server(std::move(s)); }
    std::unique_ptr<intake> operator()(const config::tcp_client_source&) const { return make_tcp_client(std::move(s)); }
    std::unique_ptr<intake> operator()(const config::udp_server_source&) const { return make_udp_server(std::move(s)); }
    std::unique_ptr<intake> operator()(const config::serial_source&) const { return make_serial(std::move(s)); }
    std::unique_ptr<intake> operator()(const config::modbus_source&) const { return make_modbus(std::move(s)); }
    std::unique_ptr<intake> operator()(const config::simulator_source&) const { return make_simulator(std::move(s)); }
  };
  const auto kind = s.settings.kind;
  return std::visit(maker{s}, kind);
}

} // namespace holdfast::acquisition
