#pragma once

// Acquisition's process: the cores producer, recorder and batch_builder in a thin shell that follows
// services/acquisition/source_actor.cpp and source_devices.cpp, and the devices outside it. A device either keeps what
// is not confirmed and goes on from the count it is told (`confirm: count`), or sends once.

#include "services/acquisition/producer.hpp"
#include "services/acquisition/recorder.hpp"
#include "tests/simulation/site.hpp"

#include <memory>
#include <optional>

namespace holdfast::simulation {

class acquisition_process : public process {
public:
  explicit acquisition_process(site& s);
  std::unique_ptr<bus_link> bus;

  void on_welcome(const std::string& producer, std::uint64_t session, std::uint64_t last, const std::string& position,
                  std::uint64_t window);
  void on_ack(const std::string& producer, std::uint64_t session, std::uint64_t last, std::uint64_t window);
  void on_refusal(const std::string& producer, std::uint64_t session);
  bool settled() const;

protected:
  void boot() override;
  void end() override;

private:
  // One life of one SOURCE.
  struct life_of_source {
    life_of_source(const config::source& c) : records(c, "boot"), store(c.window.count) {}
    std::uint64_t session = 0;
    acquisition::recorder records;
    acquisition::producer store;
    std::uint64_t batch_number = 0;
    bool lingering = false;
    bool greeted = false;            // the device knows where we stand
    std::uint64_t confirmed = 0;
    std::uint64_t next = 1;          // of a device that repeats
  };
  struct source {
    config::source settings;
    bool repeats;
    std::uint64_t made = 0;          // outlives the process, as the device does
    std::unique_ptr<life_of_source> now{};
  };

  void device(std::size_t i);
  void feed(source& s);
  void take(source& s, std::uint64_t n);
  void after_records(source& s);
  void close_batch(source& s);
  void carry_out(source& s, acquisition::producer::actions&& a);
  void after_answer(source& s);
  void tick(std::size_t i);
  source* of(const std::string& producer, std::uint64_t session);
  acquisition::timestamp stamp() const;

  site& site_;
  std::vector<source> sources_;
};

} // namespace holdfast::simulation
