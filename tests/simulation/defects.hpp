#pragma once

#include <array>
#include <string_view>

namespace holdfast::simulation {

/// Deliberate defects, to show that the simulation sees what it is there to see. Each is one line in a simulated shell
/// or disk, in the way that the product would have it wrong; the product has no switch for any of them.
enum class defect {
  none,
  ack_before_commit,          ///< WRITER acknowledges an offer when it takes it
  dispatch_before_commit,     ///< DISPATCHER gets batches while their commit is on its way
  welcome_from_memory,        ///< a hello is answered with what was taken, not with what is on disk
  producer_row_late,          ///< the producer's number is written with the commit after its batch
  head_not_saved,             ///< the class's highest number is not in the file: numbers are used again
  roll_back_forgotten,        ///< after a failed commit the offers still count as taken
  removal_by_any,             ///< a batch goes when one destination has it
  removal_unconfirmed,        ///< a batch goes when it was sent
  lease_forgotten,            ///< a lease is noted, its batch is not sent
  lease_doubled,              ///< a batch goes over every link at once
  historical_forgotten,       ///< backlog is not marked as such
  window_ignored,             ///< a link gets more than its window
  connection_untold,          ///< a lease does not say which connection of its link it is for
  delivered_when_sent,        ///< SESSION takes what it wrote to the socket for delivered
  acknowledged_up_to,         ///< SESSION takes an acknowledgement of some for one of all before it
  batches_swapped,            ///< SESSION sends two batches in the wrong order
  reconnect_forgotten,        ///< SESSION makes no second attempt
  archive_ack_before_commit,  ///< ARCHIVE acknowledges on arrival
  duplicates_stored,          ///< ARCHIVE does not ask whether it has a batch
  archive_torn,               ///< a crash leaves the row of what is there without the batches
  give_back_forgotten,        ///< after a failed commit ARCHIVE believes that it has the batches
  refused_stored,             ///< after a failed commit ARCHIVE stores what the same session sent behind it
  tail_dropped,               ///< ARCHIVE drops what waits when its session closes, and believes that it has it
  classes_mixed,              ///< ARCHIVE tells duplicates by number alone, whatever the class
  gaps_untold,                ///< a source drops records and does not say so
  position_ahead,             ///< a source counts what it has sent as stored
  hang_unseen,                ///< the watchdog waits for exits only
  drop_untold,                ///< no gap takes the place of a batch that gave way
  reject_displaced,           ///< batches of a class that rejects give way, too
  gap_too_wide,               ///< a gap covers a record more than gave way
  expired_early,              ///< records expire when half of their time is over
  gap_not_cut,                ///< what one destination was told of a gap removes all of it
};

inline constexpr std::array<std::string_view, 33> defect_names{
  "none", "ack_before_commit", "dispatch_before_commit", "welcome_from_memory", "producer_row_late",
  "head_not_saved", "roll_back_forgotten", "removal_by_any", "removal_unconfirmed", "lease_forgotten",
  "lease_doubled", "historical_forgotten", "window_ignored", "connection_untold", "delivered_when_sent",
  "acknowledged_up_to", "batches_swapped", "reconnect_forgotten", "archive_ack_before_commit", "duplicates_stored",
  "archive_torn", "give_back_forgotten", "refused_stored", "tail_dropped", "classes_mixed", "gaps_untold",
  "position_ahead", "hang_unseen", "drop_untold", "reject_displaced", "gap_too_wide", "expired_early", "gap_not_cut"};

constexpr std::string_view to_string(defect d) { return defect_names[static_cast<std::size_t>(d)]; }

} // namespace holdfast::simulation
