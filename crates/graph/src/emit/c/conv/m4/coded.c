/* All channels of a convolution in some rows, block by block. */
$P_FUNCTION void $P_$NAME(const $P_tiles *c, $PARAMETERS, uint8_t *scratch,
    const $P_rows *range)
{
    $P_reader reader = {c->code->weights, 0, 0};
    for (int32_t block = 0; block < c->blocks; block++) {
        const uint32_t *words = (const uint32_t *)(const void *)scratch;
        uint8_t *to = (uint8_t *)output + block * c->bytes;
$OWN        c->code->decode(c->code, &reader, c->weights, (int8_t *)scratch);
        for (int32_t i = 0; i < c->tiles; i++) {
            const $P_tile *t = c->tile + i;
            $CALL to + t->y, scratch + c->weights,
                range, words, c->bias + block * c->channels$LAST);
        }
    }
}
