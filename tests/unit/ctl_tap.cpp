// The tap's pure parts: lost messages, and payloads read by their descriptors.

#include "services/ctl/ctl.hpp"
#include "services/ctl/tap_message.hpp"

#include "holdfast/v1/events.pb.h"

#include <catch2/catch.hpp>
#include <google/protobuf/descriptor.pb.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>
#include <unistd.h>

using namespace holdfast;

namespace {

v1::Envelope envelope_of(const std::string& instance, std::uint64_t incarnation, std::uint64_t seq) {
  v1::Envelope e;
  e.set_type("holdfast.v1.StateChange");
  e.set_service("store");
  e.set_instance(instance);
  e.set_incarnation(incarnation);
  e.set_seq(seq);
  e.set_unix_nanos(1'795'359'600'000'000'000);
  return e;
}

std::string state_change() {
  v1::StateChange c;
  c.set_component("link:\"main\"");
  c.set_to("up");
  return c.SerializeAsString();
}

// A file that is removed again.
struct temporary_file {
  std::string path = "/tmp/ctl_tap." + std::to_string(::getpid());
  explicit temporary_file(const std::string& content) { std::ofstream(path, std::ios::binary) << content; }
  ~temporary_file() { std::remove(path.c_str()); }
};

// What protoc --descriptor_set_out would write for a type that this build does not have.
std::string foreign_descriptors() {
  google::protobuf::FileDescriptorSet set;
  auto& file = *set.add_file();
  file.set_name("later.proto");
  file.set_package("holdfast.v2");
  file.set_syntax("proto3");
  auto& type = *file.add_message_type();
  type.set_name("Weather");
  auto& field = *type.add_field();
  field.set_name("wind");
  field.set_number(1);
  field.set_type(google::protobuf::FieldDescriptorProto::TYPE_UINT32);
  field.set_label(google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
  return set.SerializeAsString();
}

} // namespace

TEST_CASE("only holes are losses", "[ctl][tap]") {
  ctl::gap_counter gaps;
  CHECK(gaps.take(envelope_of("store", 1, 100), "state.store") == 0);  // joined late
  CHECK(gaps.take(envelope_of("store", 1, 101), "state.store") == 0);
  CHECK(gaps.take(envelope_of("store", 1, 105), "state.store") == 3);
  CHECK(gaps.take(envelope_of("store", 1, 105), "state.store") == 0);  // twice
  CHECK(gaps.take(envelope_of("store", 1, 103), "state.store") == 0);  // late
  CHECK(gaps.take(envelope_of("store", 1, 106), "state.store") == 0);
  CHECK(gaps.total() == 3);
}

TEST_CASE("topics, instances and lives have numbers of their own", "[ctl][tap]") {
  ctl::gap_counter gaps;
  CHECK(gaps.take(envelope_of("store", 1, 1), "state.store") == 0);
  CHECK(gaps.take(envelope_of("store", 1, 9), "metrics.store") == 0);
  CHECK(gaps.take(envelope_of("other", 1, 9), "state.store") == 0);
  CHECK(gaps.take(envelope_of("store", 2, 1), "state.store") == 0);    // restarted
  CHECK(gaps.take(envelope_of("store", 2, 3), "state.store") == 1);
  CHECK(gaps.take(envelope_of("store", 1, 10), "metrics.store") == 0);
}

TEST_CASE("a message is one line for people and one for programs", "[ctl][tap]") {
  ctl::payload_reader reader;
  const auto e = envelope_of("store", 0xABC, 7);
  const auto human = ctl::message_line("state.store", e, state_change(), reader, false);
  CHECK(human.starts_with("2026-11-22T15:00:00.000000000Z state.store #7 StateChange {"));
  CHECK(std::count(human.begin(), human.end(), '\n') == 1);

  const auto line = nlohmann::json::parse(ctl::message_line("state.store", e, state_change(), reader, true));
  CHECK(line["topic"] == "state.store");
  CHECK(line["incarnation"] == "0000000000000abc");
  CHECK(line["seq"] == 7);
  CHECK(line["type"] == "holdfast.v1.StateChange");
  CHECK(line["payload"] == nlohmann::json{{"component", "link:\"main\""}, {"from", ""}, {"to", "up"}, {"reason", ""}});
}

TEST_CASE("a switch of links is readable, and a gap that is not known yet is not shown as none", "[ctl][tap]") {
  v1::LinkSwitch s;
  s.set_destination("centre");
  s.set_record_class("critical");
  s.set_from("fibre");
  s.set_to("5g");
  s.set_cause("fibre suspect: nothing for 61 ms");
  s.set_kind("diverted");
  auto e = envelope_of("store", 1, 7);
  e.set_type("holdfast.v1.LinkSwitch");
  ctl::payload_reader reader;
  CHECK_THAT(ctl::message_line("link.store", e, s.SerializeAsString(), reader, false),
             Catch::Contains(" link.store #7 LinkSwitch {") && Catch::Contains(R"("from":"fibre","to":"5g")")
               && Catch::Contains("nothing for 61 ms") && !Catch::Contains("gap_micros"));
  s.set_gap_micros(0);
  const auto line = nlohmann::json::parse(ctl::message_line("link.store", e, s.SerializeAsString(), reader, true));
  CHECK(line["payload"]["gap_micros"] == "0");
}

TEST_CASE("what cannot be read is shown as hex with its type", "[ctl][tap]") {
  ctl::payload_reader reader;
  auto e = envelope_of("store", 1, 1);
  CHECK(ctl::message_line("state.store", e, "\xFF\xFF", reader, false).ends_with("holdfast.v1.StateChange ffff\n"));
  e.set_type("holdfast.v2.Weather");
  CHECK(ctl::message_line("a\nb", e, std::string("\0\x1f", 2), reader, false)
          .ends_with(" a?b #1 holdfast.v2.Weather 001f\n"));
  const auto line = nlohmann::json::parse(ctl::message_line("a\nb", e, std::string("\0\x1f", 2), reader, true));
  CHECK(line["topic"] == "a\nb");
  CHECK(line["payload_hex"] == "001f");
}

TEST_CASE("a descriptor file teaches new types", "[ctl][tap]") {
  const temporary_file file(foreign_descriptors());
  ctl::payload_reader reader(file.path);
  CHECK(nlohmann::json::parse(reader.to_json("holdfast.v2.Weather", "\x08\x05").value())["wind"] == 5);
  CHECK_FALSE(reader.to_json("holdfast.v1.StateChange", state_change()));
}

TEST_CASE("a bad descriptor file is refused", "[ctl][tap]") {
  const temporary_file file("no descriptors");
  CHECK_THROWS_AS(ctl::payload_reader(file.path), ctl::failure);
  CHECK_THROWS_AS(ctl::payload_reader("/nowhere/holdfast.fds"), ctl::failure);
}

TEST_CASE("a gap is a line", "[ctl][tap]") {
  const auto e = envelope_of("store", 1, 9);
  CHECK(ctl::gap_line("state.store", e, 5, false) == "gap: 5 messages lost on state.store\n");
  CHECK(nlohmann::json::parse(ctl::gap_line("state.store", e, 5, true))["gap"]["lost"] == 5);
}
