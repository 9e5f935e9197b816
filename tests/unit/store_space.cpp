#include "services/store/space.hpp"

#include <catch2/catch.hpp>

using holdfast::store::space;

TEST_CASE("a commit that failed for want of room closes until there is clearly more", "[store]") {
  space s;
  s.refused(900 << 20, 100 << 20);
  CHECK(s.short_of_room());
  s.room(149 << 20);
  CHECK(s.short_of_room());
  s.room(150 << 20);
  CHECK_FALSE(s.short_of_room());
  s.room(0);  // only a commit that fails closes it
  CHECK_FALSE(s.short_of_room());
}

TEST_CASE("on a small disk the distance is some MiB", "[store]") {
  space s;
  s.refused(10 << 20, 2 << 20);
  s.room(5 << 20);
  CHECK(s.short_of_room());
  s.room(6 << 20);
  CHECK_FALSE(s.short_of_room());
}

TEST_CASE("an empty store opens though a commit failed with all its disk free", "[store]") {
  space s;
  s.refused(10, 990);
  CHECK(s.short_of_room());
  s.room(900);
  CHECK_FALSE(s.short_of_room());
}

TEST_CASE("after a failure deletions go alone and in small commits, which grow again", "[store]") {
  space s;
  CHECK(s.removals() == space::all_removals);
  CHECK(s.offer_bytes() == space::most_offer_bytes);
  s.refused(900, 100);
  CHECK(s.careful());
  CHECK(s.removals() == space::fewest_removals);
  CHECK(s.offer_bytes() == space::most_offer_bytes / 2);
  for (int i = 0; i < 100; ++i)
    s.refused(900, 100);
  CHECK(s.offer_bytes() == 1);  // one batch at a time
  int commits = 0;
  for (; s.careful(); ++commits)
    s.committed();
  CHECK(commits == 16);
  for (; s.offer_bytes() < space::most_offer_bytes; ++commits)
    s.committed();
  CHECK(commits < 30);
}
