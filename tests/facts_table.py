"""Which test answers to which known behaviour of Interactive Brokers.

R numbers are incidents that were reported of live trading systems and must not happen here; F numbers are facts about
IB and its client libraries that make naive books wrong. Each names the tests (``file::test``, below ``tests/``) that would
fail if Fillbook got it wrong; of many, the closest few. A note says what is out of reach of a test, and why. That every
named test exists is checked by ``tests/unit/test_facts_table.py``. One long table, since it is read by searching it.
"""

from __future__ import annotations

from typing import NamedTuple


class Answer(NamedTuple):
    """What answers to one number.

    Attributes:
        about: The behaviour, in a few words.
        tests: ``file::test`` below ``tests/``.
        note: What no test here reaches, and why; empty when nothing is left.
    """

    about: str
    tests: tuple[str, ...]
    note: str = ""


TABLE: dict[str, Answer] = {
    "R1": Answer(
        "fills that arrive while the link is degraded are booked, and every reconnect asks for executions again",
        (
            "unit/broker/test_connection.py::test_a_link_that_is_down_degrades_until_it_is_back_and_everything_was_asked_again_f129_r1",
            "integration/test_broker_link.py::test_a_cut_connection_comes_back_and_fills_of_the_gap_are_told_once_f2_f134_r1",
            "integration/test_broker_link.py::test_fills_while_the_link_is_down_are_told_and_a_replay_follows_f33_f129_r1_r2",
            "integration/test_engine_faults.py::test_fills_while_ib_is_cut_off_are_there_when_it_is_back_and_make_no_break_r1",
        ),
    ),
    "R2": Answer(
        "a commission without its execution is kept and asked about; cancels count while degraded",
        (
            "unit/broker/test_translate.py::test_a_commission_alone_is_kept_r2_r7",
            "integration/test_broker_link.py::test_a_cancel_while_degraded_is_told_r2",
            "integration/test_broker_link.py::test_fills_while_the_link_is_down_are_told_and_a_replay_follows_f33_f129_r1_r2",
            "unit/state/test_fees.py::test_a_fee_joins_by_execution_id_in_any_order",
        ),
    ),
    "R3": Answer(
        "a failed, timed out or half answer about positions is no empty answer",
        (
            "unit/broker/test_positions.py::test_an_empty_answer_after_one_with_positions_is_asked_for_again_f120_r3",
            "unit/broker/test_requests.py::test_no_end_marker_is_no_answer_r3_r26",
            "unit/desk/test_reconciler.py::test_r3_f124_f125_f134_a_bad_answer_changes_nothing_a_thousand_times",
            "unit/recon/test_breaks.py::test_r3_f126_unknown_answers_neither_open_nor_close_nor_count",
        ),
    ),
    "R4": Answer(
        "a commission of None, -1 or the unset maximum is pending, not 0",
        (
            "unit/broker/test_translate.py::test_a_sentinel_is_a_pending_fee_f36_r4",
            "integration/test_broker_facts.py::test_late_missing_sentinel_and_restated_commissions_f6_f36_r4",
            "unit/state/test_fees.py::test_an_unset_fee_is_pending_not_zero",
        ),
    ),
    "R5": Answer(
        "a position closed by hand at the broker becomes a break of minus all",
        (
            "unit/desk/test_reconciler.py::test_r5_a_manual_close_at_the_broker_becomes_a_break_with_cause_external_trade",
            "unit/desk/test_reconciler.py::test_r5_a_manual_close_that_no_execution_tells_of_is_a_break_of_minus_all",
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
            "integration/test_broker_positions.py::test_every_answer_is_fresh_r25_r5",
        ),
    ),
    "R6": Answer(
        "a correction replaces its execution and is linked to it",
        (
            "unit/state/test_identity.py::test_a_correction_replaces_and_both_stay_linked",
            "unit/state/test_identity.py::test_the_original_after_its_correction_changes_nothing_but_is_kept",
        ),
    ),
    "R7": Answer(
        "commissions before or without their execution raise nothing and join by id",
        (
            "unit/broker/test_translate.py::test_a_commission_alone_is_kept_r2_r7",
            "integration/test_broker_facts.py::test_a_commission_that_comes_before_its_execution_is_told_f4_r7",
            "unit/state/test_fees.py::test_a_fee_joins_by_execution_id_in_any_order",
        ),
    ),
    "R8": Answer(
        "a filled order whose fee is pending is not complete, and is listed after a while",
        (
            "unit/desk/test_alerts.py::test_conditions_are_gathered_from_what_the_engine_knows_r8_r20",
            "unit/desk/test_dayclose.py::test_pending_fees_keep_a_day_open_until_overruled_r8",
            "unit/desk/test_flex_import.py::test_a_pending_fee_is_fixed_from_the_statement_r8_f35",
            "unit/state/test_fees.py::test_fees_still_missing_after_a_while_are_listed",
        ),
    ),
    "R9": Answer(
        "Cancelled is not the end: an execution after it is booked and alarmed; PendingCancel and Inactive are never final",
        (
            "unit/state/test_orders.py::test_cancelled_then_filled_is_booked_shown_and_alerted",
            "unit/state/test_orders.py::test_fifteen_orders_invented_cancelled_and_all_filled_alarm",
            "unit/state/test_orders.py::test_words_that_are_never_final",
        ),
    ),
    "R10": Answer(
        "an order id used again after a restart is another order",
        (
            "integration/test_engine_journey.py::test_strategies_that_trade_against_each_other_keep_books_of_their_own_although_the_broker_nets_r10",
            "unit/state/test_attribution.py::test_a_new_order_does_not_take_an_old_execution_of_the_same_number",
            "unit/state/test_attribution.py::test_an_order_id_used_again_after_a_restart_does_not_mislead",
            "unit/state/test_attribution.py::test_one_permid_in_another_account_is_another_order",
        ),
    ),
    "R11": Answer(
        "manual orders share order id 0 and stay apart",
        (
            "unit/broker/test_sights.py::test_manual_orders_share_the_number_zero_and_stay_apart_r11",
            "unit/state/test_attribution.py::test_manual_orders_never_go_to_a_strategy_by_their_number",
        ),
    ),
    "R12": Answer(
        "an empty, foreign, long or odd order reference raises nothing and attributes nothing",
        (
            "unit/broker/test_translate.py::test_any_order_reference_leaves_the_fill_bookable_r12",
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
            "unit/state/test_attribution.py::test_a_foreign_reference_books_as_unassigned_and_raises_nothing",
            "property/test_hostile_input.py::test_a_message_becomes_facts_that_survive_wire_and_ledger_or_is_refused_by_name",
        ),
    ),
    "R13": Answer(
        "a fill that comes after its residual was assigned is not counted twice",
        (
            "unit/desk/test_assignment_desk.py::test_r13_a_fill_that_comes_after_its_assignment_asks_for_the_reversal",
            "unit/desk/test_assignment_desk.py::test_r13_a_fill_that_comes_before_the_assignment_shrinks_the_residual",
            "unit/recon/test_breaks.py::test_r13_a_late_fill_shrinks_its_break_by_itself",
            "unit/recon/test_causes.py::test_r13_an_execution_that_comes_after_its_assignment_asks_for_the_reversal",
        ),
    ),
    "R14": Answer(
        "a fill within the grace of a snapshot opens no break",
        (
            "unit/desk/test_reconciler_day.py::test_r14_r27_f114_a_day_of_lag_reordering_and_reconnects_makes_no_false_break",
            "unit/recon/test_breaks.py::test_r14_a_difference_that_goes_away_within_its_grace_leaves_nothing_behind",
        ),
    ),
    "R15": Answer(
        "a difference that nothing explains is one break with one id and a growing age",
        (
            "unit/desk/test_reconciler.py::test_r15_what_nothing_explains_stays_one_break_and_the_system_runs_on",
            "unit/recon/test_breaks.py::test_r15_an_unexplained_difference_is_one_break_with_one_id_and_a_growing_age",
            "unit/recon/test_causes.py::test_r15_what_nothing_explains_stays_the_residual_and_is_said_so",
        ),
    ),
    "R16": Answer(
        "a kill and a replay lead to the same books as no interruption",
        (
            "integration/test_lost_store.py::test_a_store_put_back_from_an_older_copy_gets_what_it_lacks",
            "unit/desk/test_reconciler.py::test_r16_breaks_survive_a_restart_under_their_name",
            "unit/recon/test_breaks.py::test_r16_a_break_survives_a_restart_with_its_age_and_note",
            "unit/state/test_ledger.py::test_restarting_three_times_keeps_every_count",
        ),
    ),
    "R17": Answer(
        "one instrument in two accounts is two comparisons",
        (
            "unit/broker/test_positions.py::test_each_account_gets_its_own_answer_r17_r42",
            "unit/desk/test_flex_import.py::test_only_the_statements_own_account_is_touched_r17",
            "unit/desk/test_reconciler.py::test_r17_r42_sixty_accounts_each_have_their_own_break",
            "unit/recon/test_compare.py::test_r17_one_instrument_in_two_accounts_is_compared_twice",
        ),
    ),
    "R18": Answer(
        "a strategy's reducing fill leaves an unassigned residual alone",
        (
            "unit/desk/test_assignment_desk.py::test_r18_a_strategys_reducing_fill_and_then_the_assignment_net_correctly",
            "unit/recon/test_breaks.py::test_r18_a_strategys_reducing_fill_leaves_the_unassigned_residual_alone",
            "unit/state/test_attribution.py::test_an_unassigned_holding_is_left_alone_by_a_strategys_reducing_fill",
        ),
    ),
    "R19": Answer(
        "strategies may be long and short in one instrument",
        (
            "unit/desk/test_reconciler.py::test_r19_opposite_strategies_on_one_account_are_square",
            "unit/recon/test_compare.py::test_r19_f121_opposite_strategies_net_to_what_the_broker_holds",
            "unit/state/test_attribution.py::test_strategies_may_hold_opposite_positions_in_one_contract",
        ),
    ),
    "R20": Answer(
        "a liquidation is booked unassigned at once, and alarmed",
        (
            "unit/desk/test_alerts.py::test_conditions_are_gathered_from_what_the_engine_knows_r8_r20",
            "unit/desk/test_reconciler.py::test_r20_a_liquidation_heads_the_list_at_once",
            "unit/recon/test_breaks.py::test_r20_a_liquidation_is_confirmed_at_once_and_listed_first",
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
        ),
    ),
    "R21": Answer(
        "a rejected order's execution is booked all the same",
        (
            "unit/recon/test_causes.py::test_f68_r21_a_rejected_order_explains_nothing",
            "unit/state/test_orders.py::test_a_rejected_order_followed_by_an_execution_is_booked_and_alerted",
        ),
    ),
    "R22": Answer(
        "a fill whose order is unknown makes the order",
        ("unit/state/test_orders.py::test_a_fill_of_an_unknown_order_makes_the_order",),
    ),
    "R23": Answer(
        "a fill that was lost without any disconnect is found by comparison and replay",
        (
            "unit/desk/test_reconciler.py::test_r23_a_silently_lost_fill_books_itself_before_it_becomes_a_break",
            "unit/recon/test_causes.py::test_r23_f63_an_order_that_filled_more_than_we_hold_names_the_missing_execution",
            "integration/test_broker_facts.py::test_a_fill_whose_messages_were_lost_comes_with_a_replay_r23_f51",
            "integration/test_engine_faults.py::test_a_fill_that_no_message_told_of_books_itself_at_the_next_reconciliation_r23",
        ),
    ),
    "R24": Answer(
        "silence is checked actively and shown as stale",
        (
            "unit/broker/test_connection.py::test_silence_is_a_state_of_its_own_r24",
            "integration/test_broker_link.py::test_a_gateway_that_falls_silent_is_stale_then_given_up_and_tried_again_r24_r26",
        ),
    ),
    "R25": Answer(
        "a reconciliation asks anew, and knows when",
        (
            "unit/desk/test_reconciler.py::test_r25_a_run_records_when_the_broker_was_asked_and_answered",
            "unit/desk/test_reconciler.py::test_r25_f119_concurrent_callers_share_runs_that_asked_after_their_call",
            "integration/test_broker_positions.py::test_a_complete_answer_is_confirmed_per_account_with_its_times_r17_r25",
            "integration/test_broker_positions.py::test_every_answer_is_fresh_r25_r5",
        ),
    ),
    "R26": Answer(
        "a position request that hangs ends by a time-out",
        (
            "unit/broker/test_requests.py::test_no_end_marker_is_no_answer_r3_r26",
            "integration/test_broker_link.py::test_a_gateway_that_falls_silent_is_stale_then_given_up_and_tried_again_r24_r26",
            "integration/test_broker_positions.py::test_an_answer_that_never_ends_is_unknown_and_the_next_one_is_whole_r3_r26_f124_f127",
        ),
    ),
    "R27": Answer(
        "positions that lag behind fills make no break",
        (
            "unit/desk/test_reconciler.py::test_r27_positions_that_lag_within_the_grace_make_no_break",
            "unit/desk/test_reconciler_day.py::test_r14_r27_f114_a_day_of_lag_reordering_and_reconnects_makes_no_false_break",
            "unit/recon/test_breaks.py::test_r27_f114_positions_that_lag_behind_a_fill_make_no_break",
        ),
    ),
    "R28": Answer(
        "an unset realized profit is unknown, never 0",
        (
            "unit/broker/test_translate.py::test_a_realized_pnl_of_zero_from_a_library_is_unknown_f37_r28",
            "unit/broker/test_translate.py::test_the_wires_commission_keeps_a_zero_and_an_unset_apart_r28",
            "unit/broker/test_values.py::test_what_ib_sends_for_not_set_is_none_never_a_number_f36_r28",
            "unit/state/test_fees.py::test_an_unset_fee_is_pending_not_zero",
        ),
    ),
    "R29": Answer(
        "fractions of a share are exact",
        (
            "unit/broker/test_translate.py::test_the_wires_execution_is_read_exactly_from_its_texts_r29",
            "unit/broker/test_values.py::test_ten_thousand_fills_of_a_tenth_are_a_thousand_f85_r29",
            "unit/core/test_position.py::test_fractions_of_a_share_are_exact",
            "unit/core/test_position.py::test_ten_thousand_fills_of_a_tenth_are_exactly_a_thousand",
        ),
    ),
    "R30": Answer(
        "only a combination's legs move positions, and IB is never asked about a combination",
        (
            "integration/test_broker_facts.py::test_a_combination_is_never_asked_about_f78_r30",
            "unit/state/test_identity.py::test_a_combinations_parent_is_a_group_and_only_legs_move_positions",
        ),
    ),
    "R31": Answer(
        "a flip realizes on what it closes and opens the rest at the fill's price",
        ("unit/core/test_position.py::test_selling_through_zero_opens_a_short_at_the_fill_price",),
    ),
    "R32": Answer(
        "Inactive is shown with its reason and may revive",
        (
            "unit/broker/test_translate.py::test_a_reject_keeps_its_reason_f68_r32",
            "unit/state/test_orders.py::test_a_rejected_order_shows_its_reason_and_explains_no_quantity",
            "unit/state/test_orders.py::test_inactive_is_shown_with_its_reason_and_may_revive",
        ),
    ),
    "R33": Answer(
        "two permIds under one reference are both attributed and warned about",
        ("unit/state/test_attribution.py::test_a_second_permid_of_one_order_goes_to_its_strategy_and_is_reported",),
    ),
    "R34": Answer(
        "an error is no answer: no order is gone because of one",
        (
            "unit/broker/test_requests.py::test_an_error_fails_its_request_instead_of_ending_it_empty_f125_r34",
            "unit/broker/test_sights.py::test_an_error_of_no_known_order_invents_none_r34",
            "integration/test_broker_positions.py::test_a_failing_answer_is_unknown_f125_r34",
            "unit/state/test_orders.py::test_a_cancellation_that_the_client_library_invented_leaves_the_order_unknown",
        ),
    ),
    "R35": Answer(
        "executions from before the start change nothing when replayed",
        (
            "integration/test_broker_facts.py::test_a_fill_from_before_the_connection_is_told_once_with_its_fee_f2_f3_r35",
            "unit/state/test_identity.py::test_the_same_execution_through_three_doors_is_booked_once",
        ),
    ),
    "R36": Answer(
        "a second Filled with average price 0 does not touch the price",
        (
            "unit/broker/test_sights.py::test_a_reported_zero_is_a_zero_but_no_average_price_r36",
            "unit/broker/test_translate.py::test_an_average_price_of_zero_is_unknown_r36",
            "unit/state/test_orders.py::test_a_second_filled_with_price_zero_does_not_touch_the_derived_price",
        ),
    ),
    "R37": Answer(
        "assignments are keyed by con_id; a reversal restores the exact former state",
        (
            "unit/desk/test_assignment_desk.py::test_r37_reversing_restores_the_exact_former_state_and_the_break",
            "unit/recon/test_compare.py::test_r37_f94_the_key_is_the_con_id_never_the_symbol_or_the_exchange",
            "unit/state/test_assignments.py::test_reversing_restores_the_exact_former_state",
            "unit/state/test_instruments.py::test_a_calendar_spread_is_two_instruments",
        ),
    ),
    "R38": Answer(
        "with manual assignments alone all views agree",
        (
            "unit/desk/test_assignment_desk.py::test_r38_with_manual_assignments_alone_all_views_agree",
            "unit/state/test_assignments.py::test_only_assignments_and_every_view_agrees",
        ),
    ),
    "R39": Answer(
        "a holding that the broker's list leaves out is a break",
        ("unit/recon/test_compare.py::test_r39_a_holding_that_the_broker_leaves_out_is_a_difference_of_minus_all",),
    ),
    "R40": Answer(
        "what is no trade is quarantined or listed, never booked",
        (
            "unit/broker/test_flex_reader.py::test_a_row_that_is_no_trade_known_is_listed_as_lost_and_never_booked_r40",
            "unit/broker/test_translate.py::test_whatever_cannot_be_read_is_unreadable_and_can_be_written_down_r40",
            "unit/desk/test_flex_import.py::test_rows_that_were_lost_are_quarantined_once_r40",
            "unit/state/test_identity.py::test_what_has_no_instrument_is_listed_not_lost_and_booked_when_it_is_known",
        ),
    ),
    "R41": Answer(
        "fills of one moment have one order, wherever they are stored",
        ("unit/state/test_identity.py::test_two_fills_of_one_moment_go_by_the_venues_sequence_then_by_arrival",),
    ),
    "R42": Answer(
        "each account reconciles alone; one without an answer is unknown, not flat",
        (
            "unit/broker/test_positions.py::test_a_login_with_other_or_too_many_accounts_is_refused_loudly_f118_f135_r42",
            "unit/broker/test_positions.py::test_an_account_that_ib_does_not_manage_is_unknown_never_flat_r42",
            "unit/broker/test_positions.py::test_each_account_gets_its_own_answer_r17_r42",
            "unit/desk/test_reconciler.py::test_r17_r42_sixty_accounts_each_have_their_own_break",
        ),
    ),
    "R43": Answer(
        "an expired option becomes a break with its cause and an act",
        (
            "unit/desk/test_flex_import.py::test_events_are_handed_on_as_evidence_and_book_nothing_f98_r43_r44",
            "unit/desk/test_reconciler.py::test_r43_r44_causes_come_with_the_break",
            "unit/recon/test_causes.py::test_r43_f100_an_option_that_expires_in_the_money_without_delivery_is_offered_at_intrinsic_value",
            "unit/recon/test_causes.py::test_r43_f97_an_expired_option_is_offered_for_booking_at_zero",
        ),
    ),
    "R44": Answer(
        "a split is recognised and booked pro rata",
        (
            "unit/desk/test_assignment_desk.py::test_r44_a_split_is_booked_pro_rata_and_costs_are_carried",
            "unit/desk/test_flex_import.py::test_events_are_handed_on_as_evidence_and_book_nothing_f98_r43_r44",
            "unit/desk/test_reconciler.py::test_r43_r44_causes_come_with_the_break",
            "unit/recon/test_causes.py::test_r44_a_proportional_jump_with_an_inverse_price_is_a_split_applied_pro_rata",
        ),
    ),
    "R45": Answer(
        "commissions join by execution id only",
        ("unit/state/test_fees.py::test_a_fee_joins_by_execution_id_in_any_order",),
    ),
    "R46": Answer(
        "a drift is a class of its own and is not repaired",
        (
            "unit/recon/test_causes.py::test_r46_a_large_difference_is_never_a_drift",
            "unit/recon/test_causes.py::test_r46_a_small_drift_is_a_class_of_its_own_and_is_not_repaired",
        ),
    ),
    "R47": Answer(
        "a full store: the journal keeps everything, the store catches up, nothing is overwritten",
        (
            "integration/test_store_outage.py::test_r47_a_store_that_is_full_costs_no_fact_and_is_caught_up_when_there_is_room",
            "integration/test_store_outage.py::test_r47_what_a_full_store_never_took_is_in_the_journal_for_the_next_start",
            "integration/test_store_faults.py::test_a_full_map_is_refused_before_lmdb_meets_it_and_a_larger_one_goes_on",
        ),
    ),
    "R48": Answer(
        "many appends stay readable; one writer per store",
        (
            "integration/test_store_faults.py::test_compaction_keeps_every_row_and_the_progress",
            "integration/test_store_faults.py::test_a_second_engine_is_refused_and_a_killed_one_leaves_the_lock_free",
        ),
        "How long reads take with a million fills is measured by `make bench`; the tests time nothing.",
    ),
    "R49": Answer(
        "long tables are paged, and sent again only where they changed",
        (
            "unit/dashboard/test_screens.py::test_a_table_is_sent_again_only_when_something_shown_changed",
            "unit/dashboard/test_screens.py::test_a_chosen_row_stays_chosen_when_others_come_and_go",
        ),
        "An hour of updates, and memory over it, is for the long runs (`make soak`), not for the suite.",
    ),
    "R50": Answer(
        "three restarts change no count",
        ("unit/state/test_ledger.py::test_restarting_three_times_keeps_every_count",),
    ),
    "R51": Answer(
        "the ten faults of the system this one replaces",
        (
            "unit/broker/test_positions.py::test_an_empty_answer_after_one_with_positions_is_asked_for_again_f120_r3",
            "integration/test_store_contract.py::test_an_append_only_symbol_is_never_written_and_a_snapshot_never_appended_to",
            "unit/recon/test_compare.py::test_r39_a_holding_that_the_broker_leaves_out_is_a_difference_of_minus_all",
            "unit/core/test_position.py::test_a_flip_does_not_book_profit_on_the_whole_fill",
            "unit/state/test_identity.py::test_the_same_execution_through_three_doors_is_booked_once",
            "unit/state/test_instruments.py::test_a_calendar_spread_is_two_instruments",
        ),
    ),
    "F1": Answer(
        "Unknown order means no fill event",
        (
            "integration/test_broker_facts.py::test_a_live_fill_of_an_order_nobody_announced_is_told_f1_f5",
            "unit/broker/test_positions.py::test_rows_of_masters_and_aggregates_are_left_out_f79a_f79c",
            "unit/state/test_attribution.py::test_an_unknown_execution_is_booked_as_unassigned",
            "unit/state/test_identity.py::test_an_advisors_own_rows_are_groups_and_only_sub_accounts_count",
        ),
    ),
    "F2": Answer(
        "Replayed fills are silent",
        (
            "integration/test_broker_facts.py::test_a_fill_from_before_the_connection_is_told_once_with_its_fee_f2_f3_r35",
            "integration/test_broker_link.py::test_a_cut_connection_comes_back_and_fills_of_the_gap_are_told_once_f2_f134_r1",
            "unit/state/test_identity.py::test_replays_of_other_clients_count_though_nothing_live_told_of_them",
        ),
    ),
    "F3": Answer(
        "Commission events fire for replays even though fill events did not",
        (
            "unit/broker/test_translate.py::test_a_commission_brings_the_fill_it_belongs_to_f3",
            "integration/test_broker_facts.py::test_a_fill_from_before_the_connection_is_told_once_with_its_fee_f2_f3_r35",
            "unit/state/test_identity.py::test_the_same_execution_through_three_doors_is_booked_once",
        ),
    ),
    "F4": Answer(
        "Commission before execution is dropped",
        (
            "integration/test_broker_facts.py::test_a_commission_that_comes_before_its_execution_is_told_f4_r7",
            "unit/state/test_fees.py::test_a_fee_joins_by_execution_id_in_any_order",
        ),
    ),
    "F5": Answer(
        "Commission event needs permId2Trade, which only openOrder/completedOrder fill",
        ("integration/test_broker_facts.py::test_a_live_fill_of_an_order_nobody_announced_is_told_f1_f5",),
    ),
    "F6": Answer(
        "The Fill you stored mutates later",
        (
            "unit/broker/test_outlet.py::test_a_restated_fee_goes_on_f6",
            "unit/broker/test_translate.py::test_the_fact_does_not_change_when_the_library_fills_in_the_report_later_f6",
            "integration/test_broker_facts.py::test_late_missing_sentinel_and_restated_commissions_f6_f36_r4",
            "unit/state/test_fees.py::test_a_restated_fee_nets_to_the_last_one_and_earlier_rows_stay",
        ),
    ),
    "F7": Answer(
        "Same execId, different content is ignored",
        (
            "unit/broker/test_outlet.py::test_the_same_execution_with_another_content_goes_on_f7",
            "unit/desk/test_flex_import.py::test_one_execution_with_two_contents_is_shown_and_not_rebooked_f7",
            "integration/test_broker_facts.py::test_duplicates_are_told_once_and_the_same_id_with_another_content_is_told_f7",
            "unit/state/test_identity.py::test_the_same_id_with_other_content_keeps_the_first_and_is_reported",
        ),
    ),
    "F8": Answer(
        "Handler exceptions are swallowed, async handlers are deferred",
        ("integration/test_broker_facts.py::test_a_tap_that_fails_is_made_good_by_the_sweep_f8",),
    ),
    "F9": Answer(
        "Decoder exceptions are swallowed too",
        (
            "integration/test_broker_facts.py::test_an_execution_whose_zone_nobody_knows_is_told_and_later_its_time_f29_f9",
            "integration/test_broker_facts.py::test_what_cannot_be_decoded_is_quarantined_whole_once_and_harms_nothing_f9",
            "unit/state/test_attribution.py::test_an_unknown_execution_is_booked_as_unassigned",
        ),
    ),
    "F10": Answer(
        "Trade.filled() is a plain sum of fills",
        (
            "integration/test_broker_facts.py::test_a_correction_and_what_it_corrects_are_both_told_f10_f15",
            "unit/state/test_identity.py::test_a_correction_replaces_and_both_stay_linked",
            "unit/state/test_orders.py::test_corrections_and_busts_reach_the_order",
        ),
    ),
    "F11": Answer(
        "Trade.contract may be unqualified",
        (
            "unit/broker/test_translate.py::test_the_instrument_is_the_executions_not_the_orders_f11",
            "integration/test_broker_messages.py::test_a_market_orders_messages_say_what_our_own_connection_sees_f11_f23",
            "unit/state/test_orders.py::test_an_unqualified_order_is_known_by_what_it_filled_in",
        ),
    ),
    "F12": Answer(
        "openOrder silently overwrites orderRef, quantity and prices",
        ("unit/state/test_attribution.py::test_the_first_reference_seen_counts",),
    ),
    "F13": Answer(
        "execId layout",
        (
            "unit/core/test_ids.py::test_only_what_follows_the_last_dot_is_a_revision",
            "unit/state/test_identity.py::test_five_segments_are_one_root_and_a_revision",
        ),
    ),
    "F14": Answer(
        "First segment may be non-hex",
        (
            "unit/core/test_ids.py::test_only_what_follows_the_last_dot_is_a_revision",
            "unit/state/test_identity.py::test_the_first_segments_are_opaque",
        ),
    ),
    "F15": Answer(
        "Correction rule",
        (
            "integration/test_broker_facts.py::test_a_correction_and_what_it_corrects_are_both_told_f10_f15",
            "unit/core/test_ids.py::test_only_what_follows_the_last_dot_is_a_revision",
            "unit/state/test_identity.py::test_a_correction_replaces_and_both_stay_linked",
        ),
    ),
    "F16": Answer(
        "Out-of-order or missing revisions",
        (
            "unit/state/test_identity.py::test_corrections_stand_where_the_original_stood_whatever_came_first",
            "unit/state/test_identity.py::test_the_original_after_its_correction_changes_nothing_but_is_kept",
        ),
    ),
    "F17": Answer(
        "Corrections may change quantity as well as price, days later",
        (
            "unit/desk/test_dayclose.py::test_what_became_known_after_a_close_is_restated_in_the_next_one_f17",
            "unit/desk/test_flex_import.py::test_a_correction_of_the_price_alone_is_no_bust_f17",
            "unit/desk/test_flex_import.py::test_a_correction_replaces_its_execution_in_quantity_and_price_f17_c2",
            "unit/desk/test_flex_import.py::test_a_correction_that_comes_alone_next_day_corrects_what_the_api_brought_f17",
        ),
    ),
    "F18": Answer(
        "Bust",
        (
            "unit/desk/test_flex_import.py::test_a_bust_is_tied_by_the_original_trade_and_keeps_the_fee_f18_f146",
            "unit/desk/test_flex_import.py::test_a_bust_reported_alone_finds_its_execution_in_the_books_or_says_so_f18",
            "unit/recon/test_causes.py::test_f18_a_cancel_row_of_the_statement_confirms_the_bust",
            "unit/state/test_identity.py::test_a_bust_reverses_the_quantity_and_keeps_the_fee",
        ),
    ),
    "F19": Answer(
        "No documented API message for a pure bust",
        (
            "unit/desk/test_flex_import.py::test_a_bust_nobody_confirmed_is_shown_f19",
            "unit/recon/test_causes.py::test_f19_a_difference_opposite_to_one_fill_is_a_provisional_bust_that_names_it",
        ),
    ),
    "F20": Answer(
        "pendingPriceRevision",
        (
            "unit/broker/test_translate.py::test_a_liquidation_and_a_provisional_price_are_marked_f20_f56",
            "unit/broker/test_translate.py::test_an_execution_that_answers_a_request_is_a_replay_and_newer_fields_are_read_f20",
            "unit/state/test_identity.py::test_a_price_still_to_be_revised_is_marked_until_its_correction",
        ),
    ),
    "F21": Answer(
        "cumQty lets you detect gaps",
        (
            "unit/recon/test_causes.py::test_f21_a_gap_in_the_cumulative_quantity_names_the_missing_execution",
            "unit/state/test_orders.py::test_a_jump_of_the_running_total_is_a_gap_until_the_missing_execution_comes",
        ),
    ),
    "F22": Answer(
        "Multi-day (GTC) orders",
        (
            "unit/recon/test_causes.py::test_f22_fills_of_former_days_are_not_missing",
            "unit/state/test_orders.py::test_an_order_over_days_counts_yesterdays_executions_once",
        ),
    ),
    "F23": Answer(
        "side is BOT/SLD and shares are positive",
        (
            "unit/broker/test_translate.py::test_the_side_gives_the_sign_f23",
            "integration/test_broker_messages.py::test_a_market_orders_messages_say_what_our_own_connection_sees_f11_f23",
            "unit/state/test_instruments.py::test_the_brokers_contract_details_are_the_last_word_on_the_multiplier",
        ),
    ),
    "F24": Answer(
        "Window",
        (
            "unit/desk/test_flex_import.py::test_executions_the_api_never_brought_are_back_filled_with_their_fees_f24",
            "unit/recon/test_causes.py::test_f24_f150_a_statement_trade_that_the_books_lack_is_named_and_one_they_have_is_not",
            "integration/test_coverage.py::test_days_that_no_replay_covers_are_named_until_a_statement_shows_them_f24",
        ),
    ),
    "F25": Answer(
        "Asking for the executions of former days needs a newer protocol than the libraries speak",
        (
            "unit/facts/test_remaining_facts.py::test_the_default_library_cannot_ask_for_the_executions_of_former_days_f25",
        ),
        "That the API reaches back to the last midnight only is IB's side; the test holds the premise, F24 has the remedy.",
    ),
    "F26": Answer(
        "Replays may come without commission",
        (
            "unit/broker/test_translate.py::test_a_fresh_fill_with_the_librarys_empty_report_says_nothing_about_a_fee_f26_f35",
            "unit/state/test_fees.py::test_an_unset_fee_is_pending_not_zero",
        ),
    ),
    "F27": Answer(
        "Three time formats",
        (
            "unit/broker/test_values.py::test_each_form_of_a_time_gives_the_same_instant_f27_f28",
            "unit/simulator/test_wire.py::test_execution_times_come_in_every_style_known_F27",
            "integration/test_broker_facts.py::test_every_form_of_a_time_gives_the_true_time_f27_f28",
        ),
    ),
    "F28": Answer(
        "ib_insync reads the dash-UTC form in the host's local zone",
        (
            "unit/broker/test_values.py::test_each_form_of_a_time_gives_the_same_instant_f27_f28",
            "integration/test_broker_facts.py::test_every_form_of_a_time_gives_the_true_time_f27_f28",
        ),
    ),
    "F29": Answer(
        "Unknown zone token means execution dropped",
        (
            "unit/broker/test_outlet.py::test_the_same_execution_with_another_time_is_no_news_but_a_first_readable_one_is_f29_f30",
            "unit/broker/test_translate.py::test_an_unreadable_zone_keeps_the_fill_and_the_text_f29",
            "unit/broker/test_values.py::test_an_unknown_zone_gives_no_time_but_says_that_it_is_uncertain_f29",
            "integration/test_broker_facts.py::test_an_execution_whose_zone_nobody_knows_is_told_and_later_its_time_f29_f9",
        ),
    ),
    "F30": Answer(
        "Live and replayed times can disagree",
        (
            "unit/broker/test_outlet.py::test_the_same_execution_with_another_time_is_no_news_but_a_first_readable_one_is_f29_f30",
            "unit/broker/test_translate.py::test_the_execution_time_counts_and_the_arrival_only_stands_in_f30",
            "unit/state/test_identity.py::test_the_same_execution_through_three_doors_is_booked_once",
            "unit/state/test_identity.py::test_unknown_times_are_ordered_by_arrival_reported_and_settled_by_a_replay",
        ),
    ),
    "F31": Answer(
        "Host travel / TWS login zone",
        (
            "unit/broker/test_outlet.py::test_executions_from_the_future_warn_that_a_zone_is_wrong_f31",
            "unit/broker/test_values.py::test_a_time_without_zone_is_uncertain_while_no_zone_is_configured_f31",
        ),
    ),
    "F32": Answer(
        "Packet timestamp is shared",
        (
            "integration/test_broker_facts.py::test_facts_keep_the_order_of_arrival_also_within_one_packet_f32",
            "unit/state/test_identity.py::test_two_fills_of_one_moment_go_by_the_venues_sequence_then_by_arrival",
        ),
    ),
    "F33": Answer(
        '1100 windows lose in-flight fills if you gate on "connected"',
        (
            "integration/test_broker_link.py::test_fills_while_the_link_is_down_are_told_and_a_replay_follows_f33_f129_r1_r2",
        ),
    ),
    "F34": Answer(
        "A fresh session has no memory of errors or status changes",
        (
            "unit/facts/test_remaining_facts.py::test_orders_come_back_from_our_own_memory_and_a_snapshot_resets_nothing_f34",
        ),
    ),
    "F35": Answer(
        "Separate message, any delay",
        (
            "unit/broker/test_translate.py::test_a_fresh_fill_with_the_librarys_empty_report_says_nothing_about_a_fee_f26_f35",
            "unit/desk/test_flex_import.py::test_a_pending_fee_is_fixed_from_the_statement_r8_f35",
            "unit/state/test_fees.py::test_an_unset_fee_is_pending_not_zero",
        ),
    ),
    "F36": Answer(
        "Sentinels",
        (
            "unit/broker/test_translate.py::test_a_sentinel_is_a_pending_fee_f36_r4",
            "unit/broker/test_values.py::test_what_ib_sends_for_not_set_is_none_never_a_number_f36_r28",
            "integration/test_broker_facts.py::test_late_missing_sentinel_and_restated_commissions_f6_f36_r4",
            "unit/state/test_fees.py::test_an_unset_fee_is_pending_not_zero",
        ),
    ),
    "F37": Answer(
        "realizedPNL 0.0 is ambiguous",
        (
            "unit/broker/test_translate.py::test_a_realized_pnl_of_zero_from_a_library_is_unknown_f37_r28",
            "unit/state/test_fees.py::test_ibs_own_realized_figure_is_a_note_and_never_booked",
        ),
    ),
    "F38": Answer(
        "Negative fees are legitimate",
        (
            "unit/broker/test_translate.py::test_minus_one_with_a_currency_and_rebates_are_amounts_f38",
            "unit/state/test_fees.py::test_rebates_are_income_and_minus_one_is_booked_and_flagged",
        ),
    ),
    "F39": Answer(
        "Fee currency is not trade currency",
        (
            "unit/broker/test_flex_reader.py::test_a_fee_keeps_its_own_currency_f39",
            "unit/state/test_fees.py::test_fees_keep_their_own_currency",
        ),
    ),
    "F40": Answer(
        "Sign differs between sources",
        (
            "unit/broker/test_flex_reader.py::test_what_was_paid_is_a_cost_and_a_rebate_is_negative_f40",
            "unit/desk/test_flex_import.py::test_an_order_whose_total_fee_differs_is_restated_f40",
            "unit/desk/test_flex_import.py::test_fees_spread_differently_over_one_order_are_left_alone_f41_f40",
        ),
    ),
    "F41": Answer(
        "Fee attribution across partial fills is uneven",
        (
            "unit/desk/test_flex_import.py::test_fees_spread_differently_over_one_order_are_left_alone_f41_f40",
            "unit/simulator/test_world.py::test_the_minimum_fee_is_carried_by_the_first_part_of_an_order_F41",
            "unit/state/test_fees.py::test_uneven_fees_of_partial_fills_add_up_to_the_orders",
        ),
    ),
    "F42": Answer(
        "Fees without executions",
        ("unit/broker/test_flex_reader.py::test_book_entry_and_option_row_are_one_event_with_both_legs_f98_f96",),
    ),
    "F43": Answer(
        "IB's realizedPNL is account-level",
        ("unit/state/test_fees.py::test_ibs_own_realized_figure_is_a_note_and_never_booked",),
    ),
    "F44": Answer(
        "Account-window realised P&L resets daily",
        (
            "unit/facts/test_remaining_facts.py::test_what_the_account_window_says_of_profit_has_no_way_into_the_books_f44",
        ),
    ),
    "F45": Answer(
        "orderId is per client and repeats",
        (
            "unit/broker/test_sights.py::test_orders_of_two_clients_with_one_number_stay_apart_f45",
            "unit/state/test_attribution.py::test_order_ids_repeat_over_clients",
        ),
    ),
    "F46": Answer(
        "permId is the cross-session key",
        (
            "unit/state/test_attribution.py::test_a_claim_made_before_the_permid_is_bound_to_the_first_permid_that_comes",
            "unit/state/test_orders.py::test_an_order_is_upgraded_once_from_its_number_to_its_permid",
        ),
    ),
    "F47": Answer(
        "permId 0 collision in ib_insync",
        ("unit/state/test_attribution.py::test_manual_orders_never_go_to_a_strategy_by_their_number",),
    ),
    "F48": Answer(
        "One order, two permIds",
        ("unit/state/test_attribution.py::test_a_second_permid_of_one_order_goes_to_its_strategy_and_is_reported",),
    ),
    "F49": Answer(
        "Manual TWS orders",
        (
            "unit/broker/test_translate.py::test_a_manual_orders_unset_id_is_zero_f49",
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
            "unit/state/test_attribution.py::test_manual_orders_never_go_to_a_strategy_by_their_number",
        ),
    ),
    "F50": Answer(
        "Who receives what",
        ("unit/broker/test_connection.py::test_whose_executions_are_seen_is_stated_f50",),
    ),
    "F51": Answer(
        "reqExecutions returns other clients' executions",
        (
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
            "integration/test_broker_facts.py::test_a_fill_whose_messages_were_lost_comes_with_a_replay_r23_f51",
            "integration/test_broker_facts.py::test_orders_of_others_are_seen_open_and_completed_f51_f59",
            "unit/state/test_identity.py::test_replays_of_other_clients_count_though_nothing_live_told_of_them",
        ),
    ),
    "F52": Answer(
        "reqAllOpenOrders is one-shot",
        (
            "unit/facts/test_remaining_facts.py::test_an_order_known_from_a_list_alone_says_so_and_when_it_was_seen_f52_f60",
            "unit/facts/test_remaining_facts.py::test_what_only_a_list_told_of_an_order_grows_old_and_another_sight_makes_it_new_f52",
        ),
        "Tables of the present mark it (`stale`, after 15 minutes); sights without news are not stored for the past.",
    ),
    "F53": Answer(
        "reqOpenOrders can be stale",
        ("unit/state/test_orders.py::test_filled_is_final_whatever_comes_later",),
    ),
    "F54": Answer(
        "orderRef",
        (
            "unit/desk/test_flex_import.py::test_a_fill_known_from_the_api_is_not_booked_twice_and_keeps_its_strategy_f54",
        ),
    ),
    "F55": Answer(
        "Flex ibOrderID differs per combo leg",
        ("unit/desk/test_flex_import.py::test_combination_legs_join_and_the_parent_is_expected_missing_f55_f75",),
    ),
    "F56": Answer(
        "IB-initiated liquidation",
        (
            "unit/broker/test_translate.py::test_a_liquidation_and_a_provisional_price_are_marked_f20_f56",
            "unit/recon/test_causes.py::test_f49_f51_f56_r5_r12_r20_the_orders_identity_says_who_traded",
            "unit/state/test_attribution.py::test_a_liquidation_is_booked_unassigned_at_once_and_alarms",
            "unit/state/test_attribution.py::test_manual_orders_never_go_to_a_strategy_by_their_number",
        ),
    ),
    "F57": Answer(
        "Other broker-made trades",
        (
            "unit/broker/test_flex_reader.py::test_the_brokers_own_trades_are_told_apart_f57",
            "unit/desk/test_flex_import.py::test_a_trade_ib_made_by_itself_never_matches_by_its_content_f57",
            "unit/recon/test_causes.py::test_f57_a_reinvestment_on_the_statement_is_never_taken_for_a_strategys_trade",
        ),
    ),
    "F58": Answer(
        "FIX and TWS order namespaces are separate",
        ("unit/facts/test_remaining_facts.py::test_a_trade_that_another_system_made_over_fix_is_nobodys_f58",),
    ),
    "F59": Answer(
        "completedOrders are lossy",
        (
            "unit/broker/test_sights.py::test_a_completed_order_never_tells_a_quantity_f59",
            "integration/test_broker_facts.py::test_orders_of_others_are_seen_open_and_completed_f51_f59",
            "unit/state/test_attribution.py::test_a_completed_order_only_maps_its_permid",
        ),
    ),
    "F60": Answer(
        "openTrades needs client 0 for manual orders",
        (
            "unit/broker/test_connection.py::test_whose_executions_are_seen_is_stated_f50",
            "unit/facts/test_remaining_facts.py::test_an_order_known_from_a_list_alone_says_so_and_when_it_was_seen_f52_f60",
        ),
    ),
    "F61": Answer(
        "Statuses seen",
        (
            "unit/broker/test_translate.py::test_an_unknown_status_is_kept_as_it_came_f61_f69",
            "unit/broker/test_translate.py::test_ib_asyncs_own_words_are_marked_f61_f67",
            "unit/state/test_orders.py::test_unknown_words_are_kept_and_not_final",
        ),
    ),
    "F62": Answer(
        "Duplicates are normal; transitions may be missing",
        (
            "unit/state/test_orders.py::test_an_execution_without_any_status_closes_the_order_by_quantity",
            "unit/state/test_orders.py::test_each_transition_is_one_row_and_duplicates_make_none",
        ),
    ),
    "F63": Answer(
        "Filled status can precede execDetails",
        (
            "unit/recon/test_causes.py::test_r23_f63_an_order_that_filled_more_than_we_hold_names_the_missing_execution",
            "unit/state/test_orders.py::test_filled_before_its_executions_books_nothing_and_asks_for_them",
        ),
    ),
    "F64": Answer(
        "openOrder/New/Submitted after partial fills",
        ("unit/state/test_orders.py::test_a_working_word_after_partial_fills_does_not_reset_the_order",),
    ),
    "F65": Answer(
        "Cancelled is not terminal for fills",
        ("unit/state/test_orders.py::test_cancelled_then_filled_is_booked_shown_and_alerted",),
    ),
    "F65a": Answer(
        "Partial fill then cancel",
        ("unit/state/test_orders.py::test_a_partial_fill_then_a_cancel_is_closed_without_alarm",),
    ),
    "F66": Answer(
        "ib_insync invents Cancelled from errors",
        (
            "unit/broker/test_sights.py::test_a_failed_cancel_of_a_filled_order_changes_nothing_about_it_f66",
            "unit/broker/test_sights.py::test_a_reject_tells_reason_and_code_and_no_status_of_its_own_f66_f68",
            "unit/broker/test_translate.py::test_a_cancelled_that_the_library_made_of_an_error_is_marked_f66",
            "integration/test_broker_messages.py::test_an_orders_life_is_told_with_what_the_library_made_up_marked_f66_f67",
        ),
    ),
    "F67": Answer(
        "202 in ib_insync is only a warning",
        (
            "unit/broker/test_translate.py::test_a_cancelled_of_ib_itself_is_not_marked_f67",
            "unit/broker/test_translate.py::test_ib_asyncs_own_words_are_marked_f61_f67",
            "integration/test_broker_messages.py::test_an_orders_life_is_told_with_what_the_library_made_up_marked_f66_f67",
            "unit/state/test_orders.py::test_error_202_ends_equal_with_both_libraries",
        ),
    ),
    "F68": Answer(
        "Rejection shape",
        (
            "unit/broker/test_sights.py::test_a_reject_tells_reason_and_code_and_no_status_of_its_own_f66_f68",
            "unit/broker/test_translate.py::test_a_reject_keeps_its_reason_f68_r32",
            "unit/recon/test_causes.py::test_f68_r21_a_rejected_order_explains_nothing",
            "integration/test_broker_messages.py::test_a_rejected_order_is_inactive_and_fills_nothing_f68_f69",
        ),
    ),
    "F69": Answer(
        "Inactive is not done, not active",
        (
            "unit/broker/test_translate.py::test_an_unknown_status_is_kept_as_it_came_f61_f69",
            "integration/test_broker_messages.py::test_a_rejected_order_is_inactive_and_fills_nothing_f68_f69",
            "unit/state/test_orders.py::test_inactive_is_shown_with_its_reason_and_may_revive",
            "unit/state/test_orders.py::test_words_that_are_never_final",
        ),
    ),
    "F70": Answer(
        "ApiCancelled and Inactive never fire cancelledEvent",
        ("unit/state/test_orders.py::test_api_cancelled_closes_the_order",),
    ),
    "F71": Answer(
        "Modification is acknowledged only if the last log entry is Modify",
        (
            "unit/state/test_orders.py::test_a_failed_modification_takes_the_quantity_back",
            "unit/state/test_orders.py::test_a_rejected_modification_does_not_reject_a_working_order",
        ),
    ),
    "F72": Answer(
        "External modifications change totalQuantity silently",
        ("unit/state/test_orders.py::test_an_external_modification_is_no_overfill_but_more_than_ib_knows_is",),
    ),
    "F73": Answer(
        "error() uses request-id space shared with order ids",
        (
            "unit/broker/test_sights.py::test_an_error_of_a_data_request_never_touches_the_order_of_the_same_number_f73",
            "unit/state/test_orders.py::test_an_error_of_a_data_request_with_the_same_number_says_nothing_about_the_order",
        ),
    ),
    "F74": Answer(
        "Combo fills arrive as BAG summary + one per leg",
        (
            "unit/broker/test_translate.py::test_a_combination_with_a_negative_price_is_read_f74_f77",
            "unit/recon/test_compare.py::test_f74_a_combination_is_never_compared",
            "unit/state/test_identity.py::test_a_combinations_parent_is_a_group_and_only_legs_move_positions",
            "unit/state/test_identity.py::test_two_combinations_are_not_merged",
        ),
    ),
    "F75": Answer(
        "How to tell",
        (
            "unit/desk/test_flex_import.py::test_combination_legs_join_and_the_parent_is_expected_missing_f55_f75",
            "unit/state/test_identity.py::test_a_statement_that_has_only_the_legs_matches_leg_by_leg",
        ),
    ),
    "F76": Answer(
        "Legs can fill in different chunks",
        (
            "unit/state/test_identity.py::test_legs_filled_in_other_chunks_show_an_unbalanced_strategy",
            "unit/state/test_identity.py::test_a_combination_of_which_one_leg_came_is_noted_as_incomplete_until_the_other_comes_f76",
            "unit/desk/test_reconciler_hostile.py::test_fifteen_hostile_stories_become_their_breaks_with_the_true_cause_first",
        ),
    ),
    "F77": Answer(
        "Combo price may be negative or zero",
        (
            "unit/broker/test_translate.py::test_a_combination_with_a_negative_price_is_read_f74_f77",
            "unit/state/test_identity.py::test_a_combinations_parent_is_a_group_and_only_legs_move_positions",
        ),
    ),
    "F78": Answer(
        "reqContractDetails on a BAG never answers",
        ("integration/test_broker_facts.py::test_a_combination_is_never_asked_about_f78_r30",),
    ),
    "F79": Answer(
        "Brackets/OCA",
        (
            "unit/state/test_orders.py::test_both_exits_of_a_bracket_filling_is_booked_and_alarmed",
            "unit/state/test_orders.py::test_children_of_one_parent_are_siblings_even_without_a_group",
        ),
    ),
    "F79a": Answer(
        "FA/allocation double counting",
        (
            "unit/broker/test_account.py::test_masters_and_aggregates_are_recognised_by_their_names_f79a_f79c",
            "unit/broker/test_positions.py::test_rows_of_masters_and_aggregates_are_left_out_f79a_f79c",
            "unit/recon/test_compare.py::test_f79a_f79c_an_advisors_master_and_its_aggregates_are_excluded",
            "integration/test_broker_positions.py::test_an_advisors_master_is_reported_and_not_asked_for_f79a",
        ),
    ),
    "F79b": Answer(
        "Sub-account allocation details may need reqExecutions",
        (),
        "Needs an advisor's allocation by IB itself; executions are asked for without an account filter.",
    ),
    "F79c": Answer(
        "TWS shows FA positions aggregated",
        (
            "unit/broker/test_account.py::test_masters_and_aggregates_are_recognised_by_their_names_f79a_f79c",
            "unit/broker/test_positions.py::test_rows_of_masters_and_aggregates_are_left_out_f79a_f79c",
            "unit/recon/test_compare.py::test_f79a_f79c_an_advisors_master_and_its_aggregates_are_excluded",
            "unit/state/test_identity.py::test_an_advisors_own_rows_are_groups_and_only_sub_accounts_count",
        ),
    ),
    "F80": Answer(
        "FX trades move cash, not a security",
        (
            "unit/desk/test_reconciler.py::test_c1_f80_f84_currency_rows_are_excluded_and_shown_as_such",
            "unit/recon/test_compare.py::test_c1_f80_f81_virtual_currency_rows_are_excluded_with_a_reason",
            "unit/recon/test_compare.py::test_f80_a_currency_pair_that_only_the_books_have_is_not_missing_at_the_broker",
            "unit/simulator/test_world.py::test_a_currency_trade_moves_two_balances_and_the_fee_is_in_base_currency_F80",
        ),
    ),
    "F81": Answer(
        "Virtual FX rows do appear in positions",
        ("unit/recon/test_compare.py::test_c1_f80_f81_virtual_currency_rows_are_excluded_with_a_reason",),
    ),
    "F82": Answer(
        "FXCONV destination",
        ("unit/facts/test_remaining_facts.py::test_a_conversion_moves_cash_and_no_position_is_expected_for_it_f82",),
    ),
    "F83": Answer(
        "FX units",
        ("unit/state/test_identity.py::test_currency_pairs_move_two_currencies_and_stay_out_of_the_net_comparison",),
    ),
    "F84": Answer(
        "AutoFX/small conversions",
        ("unit/desk/test_reconciler.py::test_c1_f80_f84_currency_rows_are_excluded_and_shown_as_such",),
    ),
    "F85": Answer(
        "Floats",
        (
            "unit/broker/test_values.py::test_every_float_comes_back_exactly_from_its_decimal_f85",
            "unit/broker/test_values.py::test_ten_thousand_fills_of_a_tenth_are_a_thousand_f85_r29",
            "unit/core/test_position.py::test_fractions_of_a_share_are_exact",
            "unit/state/test_instruments.py::test_crypto_amounts_are_exact",
        ),
    ),
    "F86": Answer(
        "Fractional shares",
        (
            "unit/desk/test_flex_import.py::test_a_difference_below_one_is_called_a_fraction_f86",
            "unit/recon/test_causes.py::test_f86_a_fraction_left_out_by_the_brokers_list_is_truncation",
        ),
    ),
    "F87": Answer(
        "Crypto",
        (
            "unit/state/test_instruments.py::test_crypto_amounts_are_exact",
            "unit/state/test_orders.py::test_an_order_sized_in_cash_is_complete_when_ib_says_so",
        ),
    ),
    "F88": Answer(
        "Bonds",
        (
            "unit/facts/test_remaining_facts.py::test_a_bond_reconciles_by_quantity_and_has_no_value_f88",
            "unit/facts/test_bonds.py::test_no_amount_of_a_bond_stands_in_a_table_of_positions_f88",
            "unit/facts/test_bonds.py::test_the_reconciled_table_compares_a_bonds_quantity_and_shows_no_amount_f88",
            "unit/facts/test_bonds.py::test_a_stored_execution_of_a_bond_shows_no_profit_and_comes_back_exactly_f88",
            "unit/facts/test_bonds.py::test_a_day_with_a_bond_closes_with_unknown_profit_and_counts_on_f88",
        ),
    ),
    "F89": Answer(
        "Multiplier is a string, '' for stocks",
        (
            "unit/broker/test_flex_reader.py::test_an_empty_multiplier_is_one_f89",
            "unit/broker/test_translate.py::test_a_missing_multiplier_counts_as_one_f89",
            "unit/state/test_instruments.py::test_the_brokers_contract_details_are_the_last_word_on_the_multiplier",
        ),
    ),
    "F90": Answer(
        "avgCost = (pricexmultiplier) + commission per contract",
        (
            "unit/recon/test_compare.py::test_f90_f91_f92_ordinary_differences_of_cost_are_no_break",
            "unit/recon/test_compare.py::test_f90_the_multiplier_belongs_to_both_costs",
            "unit/simulator/test_world.py::test_average_cost_has_multiplier_and_commission_in_it_F90",
        ),
    ),
    "F91": Answer(
        "avgCost is transiently wrong",
        ("unit/recon/test_compare.py::test_f90_f91_f92_ordinary_differences_of_cost_are_no_break",),
    ),
    "F92": Answer(
        "Method mismatch",
        ("unit/recon/test_compare.py::test_f90_f91_f92_ordinary_differences_of_cost_are_no_break",),
    ),
    "F93": Answer(
        "Price magnifier",
        (
            "unit/broker/test_account.py::test_a_london_mark_is_in_pounds_and_unknown_before_the_magnifier_is_f93",
            "unit/desk/test_flex_import.py::test_pence_are_told_from_pounds_or_asked_about_f93",
            "unit/recon/test_causes.py::test_f93_a_price_unit_mismatch_is_named_with_its_factor",
            "unit/recon/test_compare.py::test_f93_a_cost_in_pence_against_pounds_is_a_break_of_its_own_kind",
        ),
    ),
    "F94": Answer(
        "Key by conId, not by contract text",
        (
            "unit/recon/test_compare.py::test_r37_f94_the_key_is_the_con_id_never_the_symbol_or_the_exchange",
            "unit/state/test_instruments.py::test_one_instrument_whatever_its_text",
        ),
    ),
    "F95": Answer(
        "Symbol is not stable",
        ("unit/state/test_instruments.py::test_one_instrument_whatever_its_text",),
    ),
    "F96": Answer(
        "Options: assignment/exercise/expiration",
        (
            "unit/broker/test_flex_reader.py::test_book_entry_and_option_row_are_one_event_with_both_legs_f98_f96",
            "unit/recon/test_causes.py::test_f96_an_assigned_short_call_links_both_legs_with_the_strike",
            "unit/recon/test_causes.py::test_f96_what_an_exercise_delivers",
        ),
    ),
    "F97": Answer(
        "Zero-quantity position messages are the only signal of expiry",
        (
            "unit/broker/test_positions.py::test_a_row_of_zero_is_kept_as_the_news_it_is_f97",
            "unit/recon/test_causes.py::test_r43_f97_an_expired_option_is_offered_for_booking_at_zero",
        ),
    ),
    "F98": Answer(
        "Flex books it twice by design",
        (
            "unit/broker/test_flex_reader.py::test_book_entry_and_option_row_are_one_event_with_both_legs_f98_f96",
            "unit/desk/test_flex_import.py::test_events_are_handed_on_as_evidence_and_book_nothing_f98_r43_r44",
            "unit/recon/test_causes.py::test_f98_f99_f101_statement_rows_explain_both_legs_of_an_event_for_sure",
        ),
    ),
    "F99": Answer(
        "Sign convention",
        (
            "unit/broker/test_flex_reader.py::test_an_expiry_carries_the_change_of_the_position_f99",
            "unit/recon/test_causes.py::test_f98_f99_f101_statement_rows_explain_both_legs_of_an_event_for_sure",
        ),
    ),
    "F100": Answer(
        "Cash-settled options/futures",
        (
            "unit/broker/test_flex_reader.py::test_a_cash_settlement_without_amount_leaves_the_event_open_f100",
            "unit/recon/test_causes.py::test_r43_f100_an_option_that_expires_in_the_money_without_delivery_is_offered_at_intrinsic_value",
        ),
    ),
    "F101": Answer(
        "FOP exercise creates futures",
        (
            "unit/broker/test_flex_reader.py::test_an_option_on_a_future_delivers_a_future_f101",
            "unit/recon/test_causes.py::test_f101_an_exercised_futures_option_explains_the_future",
            "unit/recon/test_causes.py::test_f98_f99_f101_statement_rows_explain_both_legs_of_an_event_for_sure",
        ),
    ),
    "F102": Answer(
        "Partial/early assignment",
        ("unit/recon/test_causes.py::test_f102_a_partial_early_assignment_is_split_pro_rata_over_the_holders",),
    ),
    "F103": Answer(
        "Which strategy owns an assignment?",
        (
            "unit/desk/test_assignment_desk.py::test_f103_offsetting_strategies_are_both_closed_at_intrinsic_value_after_the_expiry",
        ),
    ),
    "F104": Answer(
        "Protocol gap",
        ("unit/facts/test_remaining_facts.py::test_fields_that_a_newer_protocol_has_or_lacks_change_nothing_f104",),
    ),
    "F105": Answer(
        "Reverse split / merger / CUSIP change means new conId",
        (
            "unit/broker/test_flex_reader.py::test_only_detail_rows_of_a_corporate_action_count_f108_f105",
            "unit/recon/test_causes.py::test_f105_a_reverse_split_into_a_new_con_id_migrates_every_strategy_by_the_ratio",
            "unit/recon/test_causes.py::test_f105_f107_a_merger_is_told_by_the_cost_that_went_along",
            "unit/recon/test_causes.py::test_f105_the_fractional_remainder_goes_to_cash_in_lieu",
        ),
    ),
    "F106": Answer(
        "Effective vs report date",
        (
            "unit/broker/test_flex_reader.py::test_an_action_happens_at_night_and_is_reported_later_f106",
            "unit/recon/test_causes.py::test_f106_an_explanation_is_provisional_until_the_statement_comes",
            "unit/recon/test_causes.py::test_f106_f109_f113_a_corporate_action_row_confirms",
        ),
    ),
    "F107": Answer(
        "Tender/voluntary actions use temporary conIds",
        (
            "unit/recon/test_causes.py::test_f105_f107_a_merger_is_told_by_the_cost_that_went_along",
            "unit/recon/test_causes.py::test_f107_an_interim_line_of_a_tender_maps_to_its_parent_per_strategy",
        ),
    ),
    "F108": Answer(
        "Corporate-action rows may be duplicated",
        ("unit/broker/test_flex_reader.py::test_only_detail_rows_of_a_corporate_action_count_f108_f105",),
    ),
    "F109": Answer(
        "Spin-offs, rights, stock dividends",
        ("unit/recon/test_causes.py::test_f106_f109_f113_a_corporate_action_row_confirms",),
    ),
    "F110": Answer(
        "Transfers",
        (
            "unit/broker/test_flex_reader.py::test_transfers_move_positions_or_cash_without_a_trade_f110",
            "unit/recon/test_causes.py::test_f110_a_transfer_row_explains_and_holds_in_unassigned",
            "unit/recon/test_causes.py::test_f110_opposite_differences_in_two_accounts_are_a_transfer",
        ),
    ),
    "F111": Answer(
        "Dividends/withholding/payment-in-lieu/interest/fees are cash only",
        (
            "unit/broker/test_flex_reader.py::test_dividends_are_cash_and_move_no_position_f111",
            "unit/recon/test_causes.py::test_f111_a_small_growth_of_a_stock_holding_looks_like_a_reinvested_dividend",
        ),
    ),
    "F112": Answer(
        "Futures expiry",
        ("unit/recon/test_causes.py::test_f112_a_future_past_its_last_day_is_closed_by_expiry",),
    ),
    "F113": Answer(
        "Give-ups/unbooked trades, T-bill and bond maturity (TM, BM), liquidation (TC)",
        ("unit/recon/test_causes.py::test_f106_f109_f113_a_corporate_action_row_confirms",),
    ),
    "F114": Answer(
        "Asynchronous to fills",
        (
            "unit/desk/test_reconciler_day.py::test_r14_r27_f114_a_day_of_lag_reordering_and_reconnects_makes_no_false_break",
            "unit/recon/test_breaks.py::test_f114_a_position_that_comes_before_its_fill_makes_no_break",
            "unit/recon/test_breaks.py::test_r27_f114_positions_that_lag_behind_a_fill_make_no_break",
            "unit/recon/test_causes.py::test_f114_lag_is_told_where_the_latest_fills_make_exactly_the_difference",
        ),
    ),
    "F115": Answer(
        "reqAccountUpdates/updatePortfolio",
        (
            "unit/facts/test_remaining_facts.py::test_an_account_window_that_says_nothing_is_no_evidence_of_flat_f115_f123",
        ),
        "IB's three-minute rhythm is its own; the rule that its silence proves nothing is tested.",
    ),
    "F116": Answer(
        "Only one account per reqAccountUpdates; a second request silently replaces the first",
        ("integration/test_broker_facts.py::test_marks_rates_and_base_currency_of_every_account_f116_f117_f136",),
    ),
    "F117": Answer(
        "ib_insync subscribes updatePortfolio only if one account or an explicit account=",
        (
            "unit/broker/test_positions.py::test_an_empty_answer_that_the_portfolio_contradicts_is_asked_for_again_f117",
            "integration/test_broker_facts.py::test_marks_rates_and_base_currency_of_every_account_f116_f117_f136",
        ),
    ),
    "F118": Answer(
        "reqPositions",
        (
            "unit/broker/test_positions.py::test_a_login_with_other_or_too_many_accounts_is_refused_loudly_f118_f135_r42",
            "integration/test_broker_positions.py::test_sixty_accounts_are_refused_loudly_and_none_looks_flat_f118_r42",
        ),
    ),
    "F119": Answer(
        "A second reqPositions while one is pending orphans the first future",
        (
            "unit/broker/test_positions.py::test_the_last_row_of_an_instrument_counts_f119",
            "unit/broker/test_requests.py::test_two_equal_requests_are_made_one_after_the_other_f119",
            "unit/desk/test_reconciler.py::test_r25_f119_concurrent_callers_share_runs_that_asked_after_their_call",
            "unit/recon/test_compare.py::test_f119_the_last_row_of_an_instrument_wins",
        ),
    ),
    "F120": Answer(
        "ib.positions() is never cleared by a new snapshot",
        (
            "unit/broker/test_positions.py::test_an_empty_answer_after_one_with_positions_is_asked_for_again_f120_r3",
            "unit/broker/test_positions.py::test_the_first_answer_without_any_position_is_asked_for_again_f120",
            "integration/test_broker_positions.py::test_a_lasting_empty_answer_that_the_portfolio_contradicts_is_unknown_not_flat_f120_r3",
            "integration/test_broker_positions.py::test_an_empty_answer_is_asked_for_again_f120_f126_r3",
        ),
    ),
    "F121": Answer(
        "Positions are net per account+conId",
        ("unit/recon/test_compare.py::test_r19_f121_opposite_strategies_net_to_what_the_broker_holds",),
    ),
    "F122": Answer(
        "Rows with position 0 and non-zero P&L are sent",
        (
            "unit/broker/test_account.py::test_a_portfolio_row_of_zero_creates_no_mark_f122",
            "unit/recon/test_compare.py::test_f122_a_row_of_zero_creates_nothing",
        ),
    ),
    "F123": Answer(
        "reqPnLSingle",
        (
            "unit/facts/test_remaining_facts.py::test_an_account_window_that_says_nothing_is_no_evidence_of_flat_f115_f123",
        ),
        "The engine does not use reqPnLSingle, so its silence cannot mislead; unrealized P&L comes from marks.",
    ),
    "F124": Answer(
        "connect() succeeds although positions timed out",
        (
            "unit/desk/test_reconciler.py::test_r3_f124_f125_f134_a_bad_answer_changes_nothing_a_thousand_times",
            "unit/recon/test_compare.py::test_r42_f124_an_account_without_an_answer_says_nothing",
            "integration/test_broker_positions.py::test_an_answer_that_never_ends_is_unknown_and_the_next_one_is_whole_r3_r26_f124_f127",
        ),
    ),
    "F125": Answer(
        "Failed requests return [] by default",
        (
            "unit/broker/test_requests.py::test_an_error_fails_its_request_instead_of_ending_it_empty_f125_r34",
            "unit/desk/test_reconciler.py::test_r3_f124_f125_f134_a_bad_answer_changes_nothing_a_thousand_times",
            "integration/test_broker_positions.py::test_a_failing_answer_is_unknown_f125_r34",
        ),
    ),
    "F126": Answer(
        "Same bug hit others",
        (
            "unit/broker/test_positions.py::test_an_account_without_a_row_is_flat_in_a_complete_answer_f126",
            "unit/recon/test_breaks.py::test_r3_f126_unknown_answers_neither_open_nor_close_nor_count",
            "integration/test_broker_positions.py::test_an_account_that_was_really_sold_out_is_confirmed_flat_f126",
            "integration/test_broker_positions.py::test_an_empty_answer_is_asked_for_again_f120_f126_r3",
        ),
    ),
    "F127": Answer(
        "Snapshot needs an end marker",
        (
            "unit/broker/test_requests.py::test_a_late_end_marker_does_not_end_the_next_request_half_way_f127",
            "unit/broker/test_requests.py::test_rows_until_the_end_marker_are_the_answer_f127",
            "integration/test_broker_positions.py::test_an_answer_that_never_ends_is_unknown_and_the_next_one_is_whole_r3_r26_f124_f127",
        ),
    ),
    "F128": Answer(
        "AccountReady=false",
        (
            "unit/broker/test_account.py::test_account_ready_false_is_known_until_it_is_true_again_f128",
            "unit/broker/test_positions.py::test_an_account_that_is_not_ready_is_unknown_alone_f128",
            "integration/test_broker_positions.py::test_an_account_that_ib_resets_is_unknown_alone_f128",
        ),
    ),
    "F129": Answer(
        "Codes",
        (
            "unit/broker/test_connection.py::test_a_connection_counts_only_when_executions_were_replayed_f129",
            "unit/broker/test_connection.py::test_a_link_that_is_down_degrades_until_it_is_back_and_everything_was_asked_again_f129_r1",
            "integration/test_broker_link.py::test_fills_while_the_link_is_down_are_told_and_a_replay_follows_f33_f129_r1_r2",
            "integration/test_broker_link.py::test_subscriptions_that_were_lost_are_made_again_f129",
        ),
    ),
    "F130": Answer(
        "Daily server resets",
        (
            "unit/broker/test_connection.py::test_europes_and_asias_windows_are_known_too_f130",
            "unit/broker/test_connection.py::test_resets_are_known_by_new_yorks_clock_f130",
            "unit/desk/test_reconciler.py::test_f130_inside_the_reset_window_a_difference_is_suspected_but_not_confirmed",
            "unit/recon/test_breaks.py::test_f130_inside_a_reset_window_a_difference_is_seen_but_not_confirmed",
        ),
    ),
    "F131": Answer(
        "Overnight position moves cluster right after resets",
        (
            "unit/recon/test_calendar.py::test_f131_three_hours_after_a_reset_are_known_as_such",
            "unit/recon/test_causes.py::test_f131_after_a_reset_overnight_causes_come_before_a_missed_fill",
        ),
    ),
    "F132": Answer(
        "Pacing",
        ("integration/test_broker_messages.py::test_sixty_requests_at_once_are_paced_and_all_answered_f132",),
    ),
    "F133": Answer(
        "At most 32 client connections",
        ("integration/test_broker_link.py::test_a_client_id_in_use_is_said_and_no_other_is_tried_f133",),
    ),
    "F134": Answer(
        "Queue is lost on disconnect",
        (
            "unit/broker/test_requests.py::test_the_end_of_the_connection_fails_what_is_open_and_what_comes_later_f134",
            "unit/desk/test_reconciler.py::test_r3_f124_f125_f134_a_bad_answer_changes_nothing_a_thousand_times",
            "integration/test_broker_link.py::test_a_cut_connection_comes_back_and_fills_of_the_gap_are_told_once_f2_f134_r1",
            "integration/test_broker_positions.py::test_a_connection_that_ends_while_asking_is_unknown_at_once_f134",
        ),
    ),
    "F135": Answer(
        '"Connected" is not logged-in to the same account',
        (
            "unit/broker/test_connection.py::test_other_accounts_than_configured_are_never_available_f135",
            "unit/broker/test_positions.py::test_a_login_with_other_or_too_many_accounts_is_refused_loudly_f118_f135_r42",
            "integration/test_broker_positions.py::test_other_accounts_than_configured_are_refused_f135",
        ),
    ),
    "F136": Answer(
        "Base currency is not stated",
        (
            "unit/broker/test_account.py::test_the_base_currency_is_the_one_whose_rate_is_one_f136",
            "unit/broker/test_account.py::test_two_currencies_at_one_are_ambiguous_until_one_is_configured_f136",
            "integration/test_broker_facts.py::test_marks_rates_and_base_currency_of_every_account_f116_f117_f136",
        ),
    ),
    "F137": Answer(
        "ExchangeRate = currency to base",
        (
            "unit/broker/test_account.py::test_a_rate_comes_with_its_time_f137",
            "unit/desk/test_reconciler.py::test_f137_base_figures_carry_the_time_of_their_rate",
        ),
    ),
    "F138": Answer(
        "Cash",
        ("unit/broker/test_account.py::test_rows_of_a_model_and_the_pseudo_currency_are_left_out_f138_f139",),
    ),
    "F139": Answer(
        "accountValues keyed (account, tag, currency, modelCode)",
        ("unit/broker/test_account.py::test_rows_of_a_model_and_the_pseudo_currency_are_left_out_f138_f139",),
    ),
    "F140": Answer(
        "Timing",
        (
            "unit/broker/test_flex_web.py::test_in_progress_and_too_often_are_asked_again_f140",
            "unit/desk/test_flex_import.py::test_a_day_is_provisional_until_five_next_morning_f140",
        ),
    ),
    "F141": Answer(
        "Sections needed",
        (
            "unit/broker/test_flex_reader.py::test_an_absent_section_is_unknown_and_an_empty_one_is_flat_f141",
            "unit/desk/test_flex_import.py::test_an_execution_of_ours_that_the_statement_lacks_is_shown_unless_the_section_is_unknown_f141",
            "unit/desk/test_flex_import.py::test_unknown_positions_compare_nothing_and_flat_ones_compare_all_f141",
        ),
    ),
    "F142": Answer(
        "Level-of-detail duplication",
        (
            "unit/broker/test_flex_reader.py::test_lots_alone_are_added_up_and_that_is_said_f142",
            "unit/broker/test_flex_reader.py::test_only_executions_count_where_a_section_mixes_levels_f142",
            "unit/broker/test_flex_reader.py::test_summary_positions_count_and_their_lots_do_not_f142",
        ),
    ),
    "F143": Answer(
        "Times are naive US/Eastern",
        (
            "unit/broker/test_flex_reader.py::test_a_day_without_a_time_and_an_hour_that_comes_twice_are_uncertain_f143",
            "unit/broker/test_flex_reader.py::test_dates_with_slashes_are_read_by_what_the_file_proves_f143",
            "unit/broker/test_flex_reader.py::test_times_are_new_yorks_unless_an_offset_says_otherwise_f143",
        ),
    ),
    "F144": Answer(
        "ibflex 1.1 tolerance",
        (
            "unit/broker/test_flex_reader.py::test_a_wrong_count_of_statements_is_a_word_and_not_a_refusal_f144",
            "unit/broker/test_flex_reader.py::test_one_unknown_code_costs_neither_its_row_nor_the_statement_f144",
            "unit/broker/test_flex_reader.py::test_what_is_no_statement_is_refused_with_the_reason_f144",
            "property/test_hostile_input.py::test_a_damaged_statement_is_read_or_refused_by_name",
        ),
    ),
    "F145": Answer(
        "ib_insync.FlexReport",
        ("unit/broker/test_flex_reader.py::test_ids_stay_text_with_their_zeros_f145",),
    ),
    "F146": Answer(
        "Ids",
        ("unit/desk/test_flex_import.py::test_a_bust_is_tied_by_the_original_trade_and_keeps_the_fee_f18_f146",),
    ),
    "F147": Answer(
        "multi-account files",
        ("unit/broker/test_flex_reader.py::test_every_account_of_a_file_has_its_own_statement_f147",),
    ),
    "F148": Answer(
        "FxPositions need flattening",
        ("unit/broker/test_flex_reader.py::test_every_currency_lot_is_seen_once_f148",),
    ),
    "F149": Answer(
        "Numbers have thousands commas",
        (
            "unit/broker/test_flex_reader.py::test_numbers_have_commas_and_words_for_nothing_f149",
            "unit/desk/test_flex_import.py::test_a_trade_without_execution_id_matches_by_its_content_once_f149",
        ),
    ),
    "F150": Answer(
        "Flex positions vs API positions differ legitimately",
        (
            "unit/desk/test_dayclose.py::test_what_the_broker_held_then_is_what_it_holds_now_minus_what_was_traded_since_f150",
            "unit/desk/test_flex_import.py::test_closing_positions_are_compared_with_what_was_traded_since_f150",
            "unit/desk/test_flex_import.py::test_without_trades_the_clock_decides_what_came_after_the_close_f150",
            "unit/recon/test_causes.py::test_f24_f150_a_statement_trade_that_the_books_lack_is_named_and_one_they_have_is_not",
        ),
    ),
}
