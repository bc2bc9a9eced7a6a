$P_FUNCTION void $P_index_map_$S(const $X *x, $Y *y, const $P_map *map)
{
    int32_t n = 0;
    for (int32_t i = 0; i < map->axes[0].n; i++) {
        int32_t row = $P_along(&map->axes[0], i);
        for (int32_t j = 0; j < map->axes[1].n; j++) {
            int32_t column = $P_along(&map->axes[1], j);
            for (int32_t k = 0; k < map->axes[2].n; k++) {
                int32_t channel = $P_along(&map->axes[2], k);
                int32_t from = map->start + row + column + channel;
                int is_zero = row < 0 || column < 0 || channel < 0;
                for (int32_t end = n + map->run; n < end; n++, from++) {
                    $P_put_$Y4(y, n, is_zero ? 0 : $P_at_$X4(x, from));
                }
            }
        }
    }
}
