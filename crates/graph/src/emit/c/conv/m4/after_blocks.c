        }
        y = row + l->ow * l->pixel_bytes;
