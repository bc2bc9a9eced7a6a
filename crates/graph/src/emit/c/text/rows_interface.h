/* The same while the input arrives row by row, as a camera gives it: $P_begin, then $P_push_row with each of its
 * $N_INPUT_H rows from the top, then $P_end. The arena must stay as it is in between; it holds the rows of the input
 * that are needed, a row that was given may be written over. Outputs are complete after $P_end. */
$RESULT $P_begin($ONLY);
void $P_push_row(const $P_input *row, $OUTPUTS$ARENA);
void $P_end($OUTPUTS$ARENA);

